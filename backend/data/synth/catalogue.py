"""The ten defects of the synthetic avocados: how common, why, what they cost, how soft they make the fruit.

Which sensor sees what. The table is the reason why fusing sensors can pay at all; ``DEFECTS``
below and ``backend.data.synth.painters`` follow it.

================== ======== ============== ============== ========== =====================================
defect             kind     RGB            NIR            pressure   why
================== ======== ============== ============== ========== =====================================
stem-end-rot       internal severe only    strong         yes        fungus grows from the stem inwards;
                                                                     the skin darkens late
body-rot           internal severe only    strong         yes        lesions under the skin; sunken and
                                                                     dark only when advanced
vascular-browning  internal no             weak strands   no         fibres brown along the fruit, flesh
                                                                     stays firm
bruising           internal no             soft patch     yes        Hass skin hides it; broken cells
                                                                     absorb and give way
grey-pulp          internal no             diffuse        recovery   flesh breaks down at the blossom end;
                                                                     it stays dented
sunburn            external pale patch     trace          no         chlorophyll bleached on the sun side
lenticel-damage    external dark specks    no             no         brown pores, harder to see on dark skin
wind-scar          external tan streaks    trace          no         corky skin where a twig rubbed
insect-damage      external small pits     trace          no         bites: dark pits with a pale rim
chilling-injury    external dark blotches  dark blotches  no         skin and the cells below it die
================== ======== ============== ============== ========== =====================================

NIR as the sensor of bruises and rots: Wedding et al., VII World Avocado Congress, 2011; grey pulp found at
about 80 %, isolated rots less surely, on a packline: Blakey et al., VIII World Avocado Congress, 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backend.data.dataset import EXTERNAL, INTERNAL, Defect

MARKS = 8
"""Most spots, streaks or lesions that one defect has on one fruit."""

PALLET_FACTORS = ("storage", "rain", "handling", "exposure")
"""What a pallet went through: long or cold storage, rain at harvest, rough handling, sun and wind."""

FRUIT_FACTORS = ("infection", "knocks", "sun")
"""What a single fruit went through."""


@dataclass(frozen=True)
class DefectSpec:
    """One defect of the synthetic fruit.

    Attributes:
        defect: name, kind and costs as in dataset.toml.
        prevalence: share of all fruit that have it, before label noise.
        pallet: loadings on ``PALLET_FACTORS``; they decide in which pallets it is common.
        fruit: loadings on ``FRUIT_FACTORS``; shared ones make defects occur together.
        marks: fewest and most marks on a fruit, growing with severity, at most ``MARKS``.
        heights: range of a mark's centre along the long axis, -1 stem end to 1 blossom end.
        tap: share of the tap force lost under a mark at full severity.
        recovery: drop of the recovery reading at full severity.
    """

    defect: Defect
    prevalence: float
    pallet: Mapping[str, float] = field(default_factory=dict)
    fruit: Mapping[str, float] = field(default_factory=dict)
    marks: tuple[int, int] = (1, 1)
    heights: tuple[float, float] = (-0.5, 0.6)
    tap: float = 0.0
    recovery: float = 0.0

    @property
    def name(self) -> str:
        """The defect's name."""
        return self.defect.name


# A missed internal defect reaches a customer who cuts the fruit open (a complaint, often a lost sale); a
# missed external one costs the difference between the grades; a false alarm costs the fruit's premium.
DEFECTS: tuple[DefectSpec, ...] = (
    DefectSpec(
        Defect("stem-end-rot", INTERNAL, cost_miss=1.2, cost_false_alarm=0.35),
        prevalence=0.07,
        pallet={"storage": 0.45, "rain": 0.2},
        fruit={"infection": 0.45},
        heights=(-0.9, -0.9),
        tap=0.12,
        recovery=0.10,
    ),
    DefectSpec(
        Defect("body-rot", INTERNAL, cost_miss=1.3, cost_false_alarm=0.35),
        prevalence=0.09,
        pallet={"storage": 0.35, "rain": 0.3},
        fruit={"infection": 0.5, "knocks": 0.35},
        marks=(1, 3),
        heights=(-0.5, 0.7),
        tap=0.35,
        recovery=0.08,
    ),
    DefectSpec(
        Defect("vascular-browning", INTERNAL, cost_miss=0.8, cost_false_alarm=0.35),
        prevalence=0.06,
        pallet={"storage": 0.4},
        fruit={"infection": 0.3},
        marks=(4, 8),
        heights=(-0.3, 0.1),
    ),
    DefectSpec(
        Defect("bruising", INTERNAL, cost_miss=0.7, cost_false_alarm=0.35),
        prevalence=0.13,
        pallet={"handling": 0.5},
        fruit={"knocks": 0.6},
        marks=(1, 2),
        heights=(-0.2, 0.65),
        tap=0.40,
        recovery=0.04,
    ),
    DefectSpec(
        Defect("grey-pulp", INTERNAL, cost_miss=1.0, cost_false_alarm=0.35),
        prevalence=0.06,
        pallet={"storage": 0.45},
        heights=(0.6, 0.8),
        tap=0.10,
        recovery=0.16,
    ),
    DefectSpec(
        Defect("sunburn", EXTERNAL, cost_miss=0.4, cost_false_alarm=0.25),
        prevalence=0.07,
        pallet={"exposure": 0.35},
        fruit={"sun": 0.55},
        heights=(-0.45, 0.2),
    ),
    DefectSpec(
        Defect("lenticel-damage", EXTERNAL, cost_miss=0.3, cost_false_alarm=0.25),
        prevalence=0.11,
        pallet={"rain": 0.5, "handling": 0.2},
        fruit={"knocks": 0.2, "sun": 0.4},
        marks=(1, 3),
    ),
    DefectSpec(
        Defect("wind-scar", EXTERNAL, cost_miss=0.35, cost_false_alarm=0.25),
        prevalence=0.09,
        pallet={"exposure": 0.4},
        fruit={"sun": 0.25},
        marks=(2, 4),
    ),
    DefectSpec(
        Defect("insect-damage", EXTERNAL, cost_miss=0.5, cost_false_alarm=0.25),
        prevalence=0.05,
        pallet={"exposure": 0.25},
        marks=(3, 8),
        heights=(-0.6, 0.7),
    ),
    DefectSpec(
        Defect("chilling-injury", EXTERNAL, cost_miss=0.6, cost_false_alarm=0.25),
        prevalence=0.05,
        pallet={"storage": 0.4},
        marks=(3, 6),
        heights=(-0.6, 0.7),
    ),
)
