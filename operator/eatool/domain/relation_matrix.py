"""Which relation may connect what, and what each means in ArchiMate.

Everything that is not listed is refused. The API server gets the same table as CEL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from eatool.domain.enums import ArchimateElement as Element
from eatool.domain.enums import ArchimateRelationship as Archi
from eatool.domain.enums import RelationEndpoint as End
from eatool.domain.enums import RelationType as Verb
from eatool.domain.kind import CelRule


@dataclass(frozen=True, slots=True)
class Row:
    """One legal triple; the first ArchiMate relationship is the default, the others fit too."""

    source: End
    relation: Verb
    target: End
    archimate: tuple[Archi, ...]


MATRIX: tuple[Row, ...] = (
    Row(End.APPLICATION, Verb.DEPENDS_ON, End.APPLICATION, (Archi.SERVING, Archi.FLOW)),
    Row(End.APPLICATION, Verb.COMMUNICATES_WITH, End.APPLICATION, (Archi.FLOW, Archi.SERVING)),
    Row(End.APPLICATION, Verb.CALLS, End.APPLICATION, (Archi.SERVING, Archi.FLOW)),
    Row(End.APPLICATION, Verb.REALIZES, End.APPLICATION_SERVICE, (Archi.REALIZATION,)),
    Row(End.APPLICATION, Verb.USES, End.APPLICATION_SERVICE, (Archi.SERVING,)),
    Row(
        End.APPLICATION,
        Verb.EXPOSES,
        End.APPLICATION_INTERFACE,
        (Archi.COMPOSITION, Archi.ASSIGNMENT),
    ),
    Row(End.APPLICATION, Verb.DEPLOYED_ON, End.SERVER, (Archi.ASSIGNMENT,)),
    Row(End.APPLICATION, Verb.STORES_DATA_ON, End.SERVER, (Archi.ASSIGNMENT,)),
    Row(End.APPLICATION, Verb.READS, End.DATA_ENTITY, (Archi.ACCESS,)),
    Row(End.APPLICATION, Verb.WRITES, End.DATA_ENTITY, (Archi.ACCESS,)),
    Row(
        End.APPLICATION,
        Verb.SUPPORTS,
        End.BUSINESS_CAPABILITY,
        (Archi.REALIZATION, Archi.SERVING),
    ),
    Row(End.APPLICATION_INTERFACE, Verb.SERVES, End.APPLICATION_SERVICE, (Archi.SERVING,)),
    Row(End.APPLICATION_SERVICE, Verb.REALIZES, End.BUSINESS_CAPABILITY, (Archi.REALIZATION,)),
    Row(
        End.APPLICATION_SERVICE,
        Verb.SUPPORTS,
        End.BUSINESS_CAPABILITY,
        (Archi.SERVING, Archi.REALIZATION),
    ),
    Row(End.INTEGRATION, Verb.COMMUNICATES_WITH, End.APPLICATION, (Archi.FLOW,)),
    Row(
        End.INTEGRATION,
        Verb.PUBLISHES_EVENT_TO,
        End.APPLICATION,
        (Archi.TRIGGERING, Archi.FLOW),
    ),
    Row(
        End.INTEGRATION,
        Verb.CONSUMES_EVENT_FROM,
        End.APPLICATION,
        (Archi.TRIGGERING, Archi.FLOW),
    ),
    Row(End.INTEGRATION, Verb.CALLS, End.APPLICATION_INTERFACE, (Archi.SERVING,)),
    Row(End.INTEGRATION, Verb.USES, End.APPLICATION_INTERFACE, (Archi.SERVING,)),
    Row(End.ORGANIZATION, Verb.OWNS, End.APPLICATION, (Archi.ASSIGNMENT, Archi.COMPOSITION)),
    Row(End.ORGANIZATION, Verb.OWNS, End.SERVER, (Archi.ASSIGNMENT, Archi.COMPOSITION)),
    Row(End.ORGANIZATION, Verb.PART_OF, End.ORGANIZATION, (Archi.AGGREGATION, Archi.COMPOSITION)),
    Row(End.SERVER, Verb.CONNECTED_TO, End.SERVER, (Archi.ASSOCIATION,)),
)

Triple = tuple[End, Verb, End]
ROWS: Mapping[Triple, Row] = {(row.source, row.relation, row.target): row for row in MATRIX}

#: ArchiMate elements an end of a relation may be shown as, the default first.
ELEMENTS: Mapping[End, tuple[Element, ...]] = {
    End.ORGANIZATION: (
        Element.BUSINESS_ACTOR,
        Element.BUSINESS_ROLE,
    ),
    End.BUSINESS_CAPABILITY: (
        Element.BUSINESS_FUNCTION,
        Element.CAPABILITY,
    ),
    End.APPLICATION: (Element.APPLICATION_COMPONENT,),
    End.APPLICATION_SERVICE: (Element.APPLICATION_SERVICE,),
    End.APPLICATION_INTERFACE: (Element.APPLICATION_INTERFACE,),
    End.INTEGRATION: (
        Element.APPLICATION_INTERACTION,
        Element.FLOW,
    ),
    End.DATA_ENTITY: (
        Element.DATA_OBJECT,
        Element.BUSINESS_OBJECT,
    ),
    End.SERVER: (Element.NODE, Element.DEVICE),
}


def legal_verbs(source: End, target: End) -> tuple[Verb, ...]:
    """Relation types that may lead from one aggregate type to the other."""
    return tuple(row.relation for row in MATRIX if (row.source, row.target) == (source, target))


def in_words() -> str:
    """The whole table for a message: ``application depends_on|calls application; ...``."""
    pairs = dict.fromkeys((row.source, row.target) for row in MATRIX)
    return "; ".join(
        f"{source} {'|'.join(legal_verbs(source, target))} {target}" for source, target in pairs
    )


def _literals(values: Iterable[str]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


def matrix_cel() -> tuple[CelRule, CelRule]:
    """The table as the API server checks it: the triple, and its ArchiMate relationship."""
    triples = {f"{row.source} {row.relation} {row.target}": row.archimate for row in MATRIX}
    mappings = [f"{triple} {name}" for triple, names in triples.items() for name in names]
    in_full = "; ".join(f"{triple}: {'|'.join(names)}" for triple, names in triples.items())
    triple = "self.sourceType + ' ' + self.relationType + ' ' + self.targetType"
    return (
        CelRule(
            rule=f"({triple}) in {_literals(triples)}",
            message=f"relationType is not allowed between these ends; legal are {in_words()}",
            field_path=".relationType",
        ),
        CelRule(
            rule="!has(self.archimateRelationship) || "
            f"({triple} + ' ' + self.archimateRelationship) in {_literals(mappings)}",
            message=f"archimateRelationship does not fit; legal are {in_full}",
            field_path=".archimateRelationship",
        ),
    )
