r"""Three ways to score a key: on a dictionary, the additive score of GAT fails, the dot product and GATv2's do not.

.. math::
    \mathrm{dot:} \; \mathbf{q}_i^\top \mathbf{k}_j / \sqrt{C}, \qquad
    \mathrm{additive:} \; \mathrm{LeakyReLU}(\mathbf{a}_q^\top \mathbf{q}_i + \mathbf{a}_k^\top \mathbf{k}_j), \qquad
    \mathrm{dynamic:} \; \mathbf{a}^\top \mathrm{LeakyReLU}(\mathbf{q}_i + \mathbf{k}_j)

All else is the same: one head, queries, keys and values projected by matrices of their own, the problem, the readout
and the training of dictionary_lookup.py.

Sources: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762 (dot); Veličković et al. 2018,
https://arxiv.org/abs/1710.10903 (additive); Brody et al. 2022, https://arxiv.org/abs/2105.14491 (dynamic).

Prints, for each score and number of keys, the accuracy on new graphs, mean and standard deviation over the seeds, the
parameters of the attention layer, and the milliseconds of a training step (the median of a run, averaged over the
seeds).
"""

import torch
from checks import BLUE, GREY, ORANGE, RED, SEEDS, Row, over_seeds, panels, record, save
from dictionary_lookup import CHANNELS, Lookup, accuracy, make_lookup, train_to_look_up
from torch import Tensor, nn

from gatlib.kernels.interface import Score
from gatlib.nn.functional import edge_attention

SCORES: tuple[Score, ...] = ("dot", "additive", "additive-dynamic")
STYLES = ((BLUE, 5.0), (RED, 1.5), (ORANGE, 1.5))  # colour and width; equal curves lie on each other
NUM_KEYS = (5, 10, 20, 40)
STEPS = 1000


class ScoredAttention(nn.Module):
    """One head from keys to queries."""

    def __init__(self, num_keys: int, score: Score) -> None:
        super().__init__()
        self.score = score
        self.lin_query = nn.Linear(num_keys, CHANNELS)
        self.lin_key = nn.Linear(2 * num_keys, CHANNELS)
        self.lin_value = nn.Linear(2 * num_keys, CHANNELS)
        num_vectors = {"dot": 0, "additive": 2, "additive-dynamic": 1}[score]
        self.att = nn.Parameter(torch.empty(num_vectors, CHANNELS))
        if num_vectors:
            nn.init.xavier_uniform_(self.att)

    def forward(self, x: tuple[Tensor, Tensor], edge_index: Tensor) -> Tensor:
        x_key, x_query = x
        query, key, value = self.lin_query(x_query), self.lin_key(x_key), self.lin_value(x_key).unsqueeze(1)
        att = None
        if self.score == "additive":
            query, key = query @ self.att[:1].t(), key @ self.att[1:].t()
        elif self.score == "additive-dynamic":
            att = self.att
        out = edge_attention(query.unsqueeze(1), key.unsqueeze(1), value, edge_index, score=self.score, att=att)
        return out.squeeze(1)


def main() -> None:
    rows: list[Row] = []
    for num_keys in NUM_KEYS:
        for score in SCORES:
            setting = f"{score}, {num_keys} keys"
            for seed in SEEDS:
                model = make_model(score, num_keys, seed)
                seconds = train_to_look_up(model, num_keys, STEPS, seed)
                rows.append((setting, seed, "accuracy", accuracy(model, num_keys)))
                rows.append(
                    (setting, seed, "parameters", sum(weight.numel() for weight in model.attention.parameters()))
                )
                rows.append((setting, seed, "milliseconds", 1e3 * seconds))
            (mean, std), (parameters, _), (milliseconds, _) = (
                over_seeds(rows, metric)[setting] for metric in ("accuracy", "parameters", "milliseconds")
            )
            print(
                f"{setting}: accuracy {mean:.3f} ± {std:.3f}, {parameters:.0f} parameters, {milliseconds:.1f} ms a step"
            )
    record("scores", rows)
    draw(rows)


def make_model(score: Score, num_keys: int, seed: int) -> Lookup:
    return make_lookup(lambda num_keys: ScoredAttention(num_keys, score), num_keys, seed)


def draw(rows: list[Row]) -> None:
    figure, (left, middle, right) = panels("abc", 12, 3.6)
    titles = {
        "accuracy": "Accuracy, mean ± std over seeds",
        "parameters": "Parameters of the attention",
        "milliseconds": "Milliseconds of a training step",
    }
    for axes, (metric, title) in zip((left, middle, right), titles.items(), strict=True):
        found = over_seeds(rows, metric)
        for number, (score, (colour, width)) in enumerate(zip(SCORES, STYLES, strict=True)):
            mean, std = zip(*(found[f"{score}, {num_keys} keys"] for num_keys in NUM_KEYS), strict=True)
            if metric == "accuracy":
                axes.errorbar(NUM_KEYS, mean, std, color=colour, linewidth=width, elinewidth=1, capsize=3, label=score)
            else:
                places = [place + 0.27 * (number - 1) for place in range(len(NUM_KEYS))]
                axes.bar(places, mean, 0.25, yerr=std, color=colour, error_kw={"elinewidth": 1})
                axes.set_xticks(range(len(NUM_KEYS)), [str(num_keys) for num_keys in NUM_KEYS])
        axes.set_title(title)
        axes.set_xlabel("keys")
    left.plot(NUM_KEYS, [1 / k for k in NUM_KEYS], color=GREY, linestyle="--", linewidth=1, label="chance")
    left.set_xticks(NUM_KEYS)
    left.set_ylim(0, 1.05)
    left.legend(fontsize=9, loc="center right", bbox_to_anchor=(1.0, 0.6))
    save(figure, "scores")


if __name__ == "__main__":
    main()
