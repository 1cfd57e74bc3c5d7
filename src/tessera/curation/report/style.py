"""The style sheet of the pages about data."""

HUES = 10
"""Colours that tell sources apart; they repeat after so many."""

STYLE = """
:root { --ink: #1c1e21; --quiet: #6a7076; --paper: #fdfdfb; --card: #f3f3ef; --line: #dcdcd4;
        --good: #1b7f4b; --bad: #b3372f; --taught: #cdebd8; --one: #3f6fb5; --light: 52%; --rich: 48%;
        color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e1; --quiet: #989ea4; --paper: #16181a; --card: #202326; --line: #363a3e;
          --good: #5cc48d; --bad: #ef8178; --taught: #1f4a33; --one: #7ba7e6; --light: 60%; --rich: 45%; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 76rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.quiet, figcaption, small { color: var(--quiet); }
.bad { color: var(--bad); } .good { color: var(--good); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { font-weight: 600; color: var(--quiet); }
th:first-child, td:first-child { text-align: left; }
table.said td { text-align: left; white-space: normal; overflow-wrap: anywhere; vertical-align: top; }
table.said th { text-align: left; } table.said td:first-child { min-width: 12em; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { font-size: .85rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 10px; fill: var(--quiet); }
svg .bar { fill: var(--one); } svg .over { fill: var(--bad); }
svg .room { fill: var(--card); stroke: var(--line); stroke-width: .5; }
svg .seat { stroke: var(--paper); stroke-width: .6; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .35em 0 1em; }
.sample { background: var(--card); border-radius: 8px; padding: .75rem 1rem; margin: 0 0 1rem; }
.sample .head { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .85rem; color: var(--quiet); }
.sample .media { display: flex; gap: 1rem; flex-wrap: wrap; margin: .5rem 0; align-items: flex-start; }
.sample .tiles { display: flex; gap: 3px; flex-wrap: wrap; max-width: 30rem; }
.sample .grid { display: grid; gap: 3px; }
.sample img { display: block; border-radius: 3px; max-width: 100%; }
.seen { position: relative; max-width: 28rem; }
.seen svg { position: absolute; inset: 0; height: 100%; }
.seen rect { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; }
.seen span { position: absolute; font-size: .7rem; padding: 0 .25em; color: #fff; border-radius: 2px; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.6 ui-monospace, monospace; margin: 0; }
.text b { font-weight: 400; background: var(--taught); border-radius: 2px; }
.text b:hover, .text i:hover { outline: 1px solid var(--one); }
.text i { font-style: normal; }
.text .control { color: var(--quiet); } .text .slots { color: var(--one); }
"""


def hue(number: int) -> str:
    """The colour of a source by its number, readable on light and dark."""
    return f"hsl({(210 + number % HUES * 138) % 360} var(--rich) var(--light))"
