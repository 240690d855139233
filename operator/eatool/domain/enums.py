"""Closed vocabularies. Members are in ascending order where order means something."""

from __future__ import annotations

from enum import StrEnum


class Vocabulary(StrEnum):
    """A closed set of lower_snake strings whose definition order is its rank."""

    @property
    def rank(self) -> int:
        """Position in definition order, from 0: ``restricted`` outranks ``public``."""
        return list(type(self)).index(self)


class DataClassification(Vocabulary):
    """Sensitivity of data, lowest first; ``restricted``: PII, credentials, payment, health."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"


class Criticality(Vocabulary):
    """Business impact of an outage, lowest first; ``critical`` is 24/7 with 1 h response."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Environment(Vocabulary):
    """Deployment stage."""

    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


class Lifecycle(Vocabulary):
    """Life of an application, from idea to switched off."""

    PLANNED = "planned"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


class InterfaceStatus(Vocabulary):
    """Life of an application interface."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


class IntegrationProtocol(Vocabulary):
    """How two applications exchange data."""

    REST = "rest"
    GRAPHQL = "graphql"
    GRPC = "grpc"
    SOAP = "soap"
    KAFKA = "kafka"
    RABBITMQ = "rabbitmq"
    SQS = "sqs"
    HTTP = "http"
    HTTPS = "https"
    TCP = "tcp"
    UDP = "udp"
    WEBSOCKET = "websocket"
    MQTT = "mqtt"
    SFTP = "sftp"
    AMQP = "amqp"
    JDBC = "jdbc"
    FILE = "file"


class LineStyle(Vocabulary):
    """How a relation is drawn."""

    SOLID = "solid"
    DASHED = "dashed"


class RelationEndpoint(Vocabulary):
    """Aggregate types a relation can connect."""

    ORGANIZATION = "organization"
    BUSINESS_CAPABILITY = "business_capability"
    APPLICATION = "application"
    APPLICATION_SERVICE = "application_service"
    APPLICATION_INTERFACE = "application_interface"
    INTEGRATION = "integration"
    DATA_ENTITY = "data_entity"
    SERVER = "server"


class RelationType(Vocabulary):
    """Verb of a relation; which endpoints it may connect is in the relation matrix."""

    DEPENDS_ON = "depends_on"
    COMMUNICATES_WITH = "communicates_with"
    CALLS = "calls"
    REALIZES = "realizes"
    USES = "uses"
    EXPOSES = "exposes"
    DEPLOYED_ON = "deployed_on"
    STORES_DATA_ON = "stores_data_on"
    READS = "reads"
    WRITES = "writes"
    SUPPORTS = "supports"
    SERVES = "serves"
    PUBLISHES_EVENT_TO = "publishes_event_to"
    CONSUMES_EVENT_FROM = "consumes_event_from"
    OWNS = "owns"
    PART_OF = "part_of"
    CONNECTED_TO = "connected_to"


class ArchimateRelationship(StrEnum):
    """ArchiMate 3.2 relationships, spelled as in the standard."""

    ASSIGNMENT = "Assignment"
    REALIZATION = "Realization"
    SERVING = "Serving"
    ACCESS = "Access"
    FLOW = "Flow"
    TRIGGERING = "Triggering"
    ASSOCIATION = "Association"
    COMPOSITION = "Composition"
    AGGREGATION = "Aggregation"
    SPECIALIZATION = "Specialization"
    INFLUENCE = "Influence"


class ArchimateElement(StrEnum):
    """ArchiMate 3.2 elements that the kinds of this registry stand for."""

    BUSINESS_ACTOR = "BusinessActor"
    BUSINESS_ROLE = "BusinessRole"
    BUSINESS_FUNCTION = "BusinessFunction"
    CAPABILITY = "Capability"
    APPLICATION_COMPONENT = "ApplicationComponent"
    APPLICATION_SERVICE = "ApplicationService"
    APPLICATION_INTERFACE = "ApplicationInterface"
    APPLICATION_INTERACTION = "ApplicationInteraction"
    FLOW = "Flow"
    DATA_OBJECT = "DataObject"
    BUSINESS_OBJECT = "BusinessObject"
    NODE = "Node"
    DEVICE = "Device"
