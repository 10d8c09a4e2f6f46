"""What the checks go by: a model, its data and the arguments of `fit`, each in a small description without Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Shape = tuple[int | None, ...]
"""Without the axis of samples; None for an axis of any length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayFacts:
    """One array of inputs or labels: `shape` of one sample, and what its values are like.

    `rows` were looked at, of `total` (None: nobody knows). `counts` is how often each value occurs, kept where all
    are whole numbers (or texts) and few. `widest` is the feature of the largest standard deviation: its index, that
    deviation and its range; only for arrays of rank 2.
    """

    name: str
    shape: Shape
    dtype: str
    key: str | None = None
    rows: int = 0
    total: int | None = None
    low: float | None = None
    high: float | None = None
    nan: int = 0
    infinite: int = 0
    whole: bool = False
    counts: Mapping[Any, int] | None = None
    ones: bool = False
    """The values along the last axis sum to one."""
    alike: bool = False
    """All rows are the same."""
    constant: tuple[int, ...] = ()
    """Features of one value, in arrays of rank 2; empty where zeros are common, as in pixels and counts of words."""
    widest: tuple[int, float, float, float] | None = None

    @property
    def text(self) -> bool:
        """Whether it holds strings."""
        return self.dtype in ("string", "str")

    @property
    def label_shape(self) -> Shape:
        """The shape without a last axis of one."""
        return self.shape[:-1] if self.shape[-1:] == (1,) else self.shape

    @property
    def one_hot(self) -> bool:
        """Whether every row is zeros and a single one."""
        return self.ones and self.whole and self.low == 0 and self.high == 1


class Kind(StrEnum):
    """How the data comes."""

    NONE = "none"
    ARRAYS = "arrays"
    DATASET = "dataset"
    SEQUENCE = "sequence"
    GENERATOR = "generator"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFacts:
    """The training data, or the validation data.

    `length` counts samples (None: unknown); `batches` counts the batches of a dataset, -1 where it never ends;
    `structure` is `array`, `list` or `dict` for the inputs. `labels` says whether there are any.
    """

    kind: Kind = Kind.NONE
    x: tuple[ArrayFacts, ...] = ()
    y: tuple[ArrayFacts, ...] = ()
    structure: str = "array"
    length: int | None = None
    batch: int | None = None
    batches: int | None = None
    looked_at: int = 0
    weights: ArrayFacts | None = None
    unequal: tuple[tuple[str, int], ...] = ()
    """Names and numbers of samples of arrays, where they differ."""
    single: bool = False
    """A dataset gives single samples, not batches."""
    broken: str = ""
    """What the data raised when its first batch was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """All of the data. `copied` of `compared` validation rows are exact copies of training rows; `repeated` is the
    share of training rows that have a copy in the training data itself. `leak` is an input that equals the labels.
    """

    train: PartFacts = field(default_factory=PartFacts)
    validation: PartFacts = field(default_factory=PartFacts)
    copied: int = 0
    compared: int = 0
    repeated: float = 0.0
    leak: str = ""
    split: float = 0.0
    where: str = ""


class Use(StrEnum):
    """What a model does with an input first."""

    RAW = "raw"
    """It goes into weights as it is."""
    SCALED = "scaled"
    TOKENS = "tokens"
    """Whole numbers that an Embedding looks up."""
    LOOKUP = "lookup"
    """A preprocessing layer turns it into numbers: texts, categories."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFacts:
    """One input of a model. `vocabulary` is how many tokens its Embedding knows; `where` the layer that takes it."""

    name: str
    shape: Shape
    dtype: str = "float32"
    use: Use = Use.UNKNOWN
    vocabulary: int | None = None
    where: str = ""


class LossKind(StrEnum):
    """What a loss takes its labels and predictions to be."""

    SPARSE = "sparse"
    CATEGORICAL = "categorical"
    BINARY = "binary"
    REGRESSION = "regression"
    POISSON = "poisson"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossFacts:
    """One loss: its name as Keras has it, what it expects, and the line to change."""

    name: str
    kind: LossKind
    from_logits: bool = False
    ignore_class: int | None = None
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFacts:
    """One output. `activation` is empty where nobody knows; `seen` is the range of predictions on the first batch, and
    whether they sum to one; `twice` names the activation before a softmax that is one already.
    """

    name: str
    shape: Shape | None
    activation: str = ""
    loss: LossFacts | None = None
    metrics: tuple[str, ...] = ()
    metrics_where: str = ""
    where: str = ""
    twice: bool = False
    seen: tuple[float, float, bool] | None = None
    dtype: str = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A model as built. `inputs` is None where a subclassed model does not say; `unknown_names` are keys of `loss` or
    `metrics` that name no output.
    """

    inputs: tuple[InputFacts, ...] | None = None
    outputs: tuple[OutputFacts, ...] = ()
    compiled: bool = True
    has_loss: bool = True
    own_step: bool = False
    own_fit: bool = False
    trainable: int | None = None
    unknown_names: tuple[tuple[str, str], ...] = ()
    missing_losses: tuple[str, ...] = ()
    optimizer: str = ""
    learning_rate: float | None = None
    where: str = ""
    compile_where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitFacts:
    """The arguments of `fit` that matter here, the ends of searched ones, and the objective.

    `names` has all that the objectives and constraints mention, `goals` all objectives and whether more is better.
    """

    metric: str = ""
    goals: tuple[tuple[str, bool], ...] = ()
    names: tuple[str, ...] = ()
    maximize: bool = True
    epochs: int = 1
    batch_size: int | None = None
    largest_batch: int | None = None
    searched_batch: bool = False
    steps: int | None = None
    validation_steps: int | None = None
    validation_split: float = 0.0
    folds: int = 0
    class_weight: Mapping[Any, float] | None = None
    where: str = "fit"
    objective_where: str = "objective"
