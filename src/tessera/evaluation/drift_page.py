"""The page about a model in few bits: how far its answers are from before, and which layers hurt."""

from collections.abc import Mapping

from tessera.chat.message import Text
from tessera.evaluation.drift import AnswerPair, Drift
from tessera.evaluation.interval import wilson_interval
from tessera.evaluation.report import PAIR_HEIGHT, SAMPLE_HEIGHT, shown_media
from tessera.pages import blocks
from tessera.pages.page import HtmlPage

MOST_CARDS, MOST_LAYERS = 24, 40


def drift_page(title: str, drift: Drift, sizes: tuple[int, int], settings: Mapping[str, object]) -> HtmlPage:
    """Figures, blocks and layers, the answers that changed, and how it was made.

    sizes: bytes of the files before and after.
    """
    changed = sorted((pair for pair in drift.answers if pair.changed), key=lambda pair: -pair.kl)
    told = [(str(key), str(value)) for key, value in settings.items()]
    sections = (
        ("Before and after", _figures(drift, sizes)),
        ("Blocks, each alone in few bits", _blocks(drift)),
        ("Layers", _layers(drift)),
        ("Answers that changed", _changed(changed)),
        ("Settings", [blocks.Table(("setting", "value"), told, words=True)]),
    )
    return HtmlPage(title, "", sections)


def _figures(drift: Drift, sizes: tuple[int, int]) -> tuple[blocks.Table | str, ...]:
    asked, (before, after, known) = len(drift.answers), drift.right
    low, high = wilson_interval(drift.changed, asked)
    first, second = (f"{size / 1e6:,.2f} MB" for size in sizes)
    rows = [
        ("size of the files", f"{first} → {second}", f"{sizes[1] / sizes[0]:.0%}"),
        ("answers that changed", f"{drift.changed} of {asked}", f"95 %: {low:.0%} to {high:.0%}"),
        ("most likely token the same", f"{drift.same_best:.2%}", f"of {drift.tokens:,} tokens"),
        ("KL of a token, mean", f"{drift.kl_mean:.2g}", "nats"),
        ("KL of a token, 99th percentile", f"{drift.kl_p99:.2g}", "nats"),
        ("KL of a token, largest", f"{drift.kl_max:.2g}", "nats"),
    ]
    if known:
        rows += [("right before", f"{before} of {known}", f"{before / known:.1%}")]
        rows += [("right after", f"{after} of {known}", f"{after / known:.1%}")]
    note = (
        "Both models answer greedily. The first one's answers are then fed to both; KL is from its "
        "distribution to the other's, at every token."
    )
    return blocks.Table(("", "", ""), rows), note


def _blocks(drift: Drift) -> list[blocks.Table | str]:
    if not drift.blocks:
        return []
    most = max(block.kl for block in drift.blocks) or 1.0
    rows = [(block.name, blocks.BarCell(block.kl / most, f"{block.kl:.2g}")) for block in drift.blocks]
    note = f"Mean KL of a token, in nats, on {drift.block_questions} of the questions."
    return [blocks.Table(("block", "KL"), rows), note]


def _layers(drift: Drift) -> list[blocks.Table | str]:
    worst = sorted(drift.layers, key=lambda layer: -layer.output_error)[:MOST_LAYERS]
    most = max((layer.output_error for layer in worst), default=0.0) or 1.0
    rows = [
        (
            layer.name,
            blocks.BarCell(layer.output_error / most, f"{layer.output_error:.2%}"),
            f"{layer.weight_error:.2%}",
        )
        for layer in worst
    ]
    note = f"Relative change of results and weights; the {len(rows)} largest of {len(drift.layers)} layers."
    return [blocks.Table(("layer", "results", "weight"), rows), note]


def _changed(pairs: list[AnswerPair]) -> list[blocks.SampleCards | str]:
    if not pairs:
        return ["None."]
    note = f"{min(MOST_CARDS, len(pairs))} of {len(pairs)}, largest KL first."
    return [note, blocks.SampleCards([_card(pair) for pair in pairs[:MOST_CARDS]], narrow=True)]


def _card(pair: AnswerPair) -> blocks.SampleCard:
    prompt = pair.question.prompt
    height = SAMPLE_HEIGHT if len(prompt.media) == 1 else PAIR_HEIGHT
    media = [shown for part in prompt.media for shown in shown_media(part, height)]
    asked = " ".join(part.text for part in prompt.messages[-1].parts if isinstance(part, Text))
    kinds = ("", "") if pair.right is None else tuple("good" if right else "bad" for right in pair.right)
    lines = [("", asked), (kinds[0], f"before: {pair.before}"), (kinds[1], f"after: {pair.after}")]
    return blocks.SampleCard([pair.question.source, f"KL {pair.kl:.2g}"], media, lines)
