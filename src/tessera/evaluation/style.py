"""The style sheet of the report page: one column, light or dark as the reader's system asks."""

STYLE = """
:root { --ink: #1c1e21; --quiet: #6a7076; --paper: #fdfdfb; --card: #f3f3ef; --line: #dcdcd4;
        --good: #1b7f4b; --bad: #b3372f; --one: #3f6fb5; --two: #8fb0dc; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e1; --quiet: #989ea4; --paper: #16181a; --card: #202326; --line: #363a3e;
          --good: #5cc48d; --bad: #ef8178; --one: #7ba7e6; --two: #46618a; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
.quiet { color: var(--quiet); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; color: var(--quiet); }
td small { color: var(--quiet); margin-left: .35em; }
tr.total td { font-weight: 600; border-top: 2px solid var(--line); }
.track { display: inline-block; width: 3rem; text-align: left; margin-right: .5em; background: var(--card); }
.bar { display: inline-block; height: .55em; background: var(--one); border-radius: 2px; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; }
figure { margin: 0; }
figcaption { color: var(--quiet); font-size: .85rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 10px; fill: var(--quiet); }
svg .axis { fill: none; stroke: var(--line); }
svg polyline { fill: none; stroke: var(--two); stroke-width: .7; }
svg polyline.thick { stroke: var(--one); stroke-width: 2; }
svg .room { fill: var(--card); stroke: var(--line); }
svg .even { fill: var(--one); } svg .odd { fill: var(--two); }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; }
.sample { background: var(--card); border-radius: 8px; padding: .75rem; overflow-wrap: anywhere; }
.sample .media { display: flex; gap: 4px; flex-wrap: wrap; margin-bottom: .5rem; }
.sample img { image-rendering: pixelated; border-radius: 3px; max-width: 100%; }
.sample p { margin: .15rem 0; }
.sample .task { color: var(--quiet); font-size: .8rem; }
.right { color: var(--good); } .wrong { color: var(--bad); }
.right, .wrong { font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .9rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
"""
