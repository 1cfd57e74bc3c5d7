"""What a stage learns from and minimises: one frozen value, told apart by its `kind`.

Read `contract` (what every objective offers), then one of them. A new one is a file here and an entry below.
An objective knows its batches and its learner; it must not know the loop, the optimizer or other stages.
"""

from typing import Annotated

from pydantic import Field

from tessera.train.objective.contrastive import ContrastiveObjective
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.distillation import DistillationObjective
from tessera.train.objective.links.objective import LinkObjective
from tessera.train.objective.pairing.first import PairContrastObjective
from tessera.train.objective.pairing.retrieval import PairRetrievalObjective
from tessera.train.objective.pairing.second import PairTasksObjective
from tessera.train.objective.policy import PolicyObjective
from tessera.train.objective.preference import PreferenceObjective
from tessera.train.objective.resolution.consistency import ConsistencyObjective
from tessera.train.objective.resolution.routing import RoutingObjective

AnyObjective = Annotated[
    ConversationObjective
    | PreferenceObjective
    | PolicyObjective
    | ContrastiveObjective
    | DistillationObjective
    | LinkObjective
    | PairContrastObjective
    | PairTasksObjective
    | PairRetrievalObjective
    | ConsistencyObjective
    | RoutingObjective,
    Field(discriminator="kind"),
]
