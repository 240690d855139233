"""A registry of 5,000 rows and their dirt moves into the log, on the real API server.

What is real: kube-apiserver and etcd, kubectl, the operator as processes of its own that are
killed with ``kill -9`` in the middle of transitions, SQLite and PostgreSQL (where the old
application connects with rights on its tables only), and every command that people are told of.

All 5,000 rows are imported and compared, and each of the nine kinds has a rollout of its own.
All reach DualWrite. Applications and servers go on to AsyncCommands with a rollback at each
phase, servers to Retired. What ``eatool legacy manifests`` writes is applied with ``kubectl apply
--server-side`` for a third of the servers and a dozen of each other kind, some 300 objects: as many
as a test can wait for. The others are rows of the old application, which goes on writing them.

No phase is forced: criteria decide, those by default but for what no broker can tell. Only time is
helped on: a soak takes 2 s, and what an hour or 14 days have to pass after is dated back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crds.server import Kubectl
from tests.legacy.registry import OldRegistry, filled
from tests.operator.conftest import new_site
from tests.operator.rollout_site import RolloutSite
from tests.operator.site import Site
from tests.proofs.cluster.acts_log import (
    async_commands,
    back_by_itself,
    corrupted,
    older_operator,
    projection_only,
)
from tests.proofs.cluster.acts_retired import at_the_end, dropped, retired
from tests.proofs.cluster.acts_tables import adopted, back_to_legacy, dual_write, legacy
from tests.proofs.cluster.log_answers import assert_the_log_answers
from tests.proofs.cluster.mortal import ANNOUNCED, APPENDED, BEFORE, RENAMING, Fate
from tests.proofs.cluster.old_team import OldTeam, application_engine
from tests.proofs.cluster.operators import MortalOperator
from tests.proofs.cluster.people import People
from tests.proofs.cluster.stage import SERVER, Stage
from tests.store.stores import DATABASES, database_url

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane
from eatool.domain.kinds import KINDS, upcast
from eatool.rollout.phases import Phase
from eatool.store.clock import utc_now
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

#: How the operators of the story die, one after the other. In between, servers and applications
#: also take the steps up again that they took before.
_FATES = [
    Fate("server", Phase.DUAL_WRITE, ANNOUNCED),
    Fate("server", Phase.LEGACY, BEFORE),
    Fate("server", Phase.PROJECTION_ONLY, APPENDED),
    Fate("server", Phase.DUAL_WRITE, APPENDED),
    Fate("server", Phase.ASYNC_COMMANDS, BEFORE),
    Fate("server", Phase.PROJECTION_ONLY, ANNOUNCED),
    Fate("server", Phase.RETIRED, APPENDED),
    Fate("server", Phase.RETIRED, RENAMING),
    None,
]
#: Files handed to kubectl, of each kind but servers.
_ADOPTED = 12


@pytest.fixture
def site(crds: None, platform_crds: None, admin: ApiClient) -> Site:
    return new_site(admin)


@pytest.fixture(params=DATABASES)
def old(request: pytest.FixtureRequest, tmp_path: Path, site: Site) -> OldRegistry:
    """Adopted and imported."""
    old = filled(database_url(request.param, tmp_path, request), 1)
    assert old.built.total == 5_000
    assert old.run("adopt").exit_code == 0
    imported = old.run("import", "--namespace", site.namespace)
    assert imported.exit_code == 1, "the dirt is told"
    assert f"{len(old.built.refused)} rows refused" in imported.output
    assert len(old.events()) == 5_000 - len(old.built.refused)
    return old


@pytest.fixture
def people(
    old: OldRegistry, site: Site, kubectl: Path, control_plane: ControlPlane, tmp_path: Path
) -> People:
    """With the manifests of what they are going to declare."""
    written = tmp_path / "manifests"
    options = ("--only-imported", "--namespace", site.namespace, "--out", written)
    assert old.run("manifests", *options).exit_code == 0
    files = {kind.kind: sorted(written.glob(f"*-{kind.plural}/*.yaml")) for kind in KINDS.values()}
    assert sum(map(len, files.values())) == 5_000 - len(old.built.refused)
    chosen = {
        # The name of the first row has been given to others, who would be sound without it.
        kind: found[1 : 1 + (len(found) // 3 if kind == SERVER.kind else _ADOPTED)]
        for kind, found in files.items()
    }
    return People(site, Kubectl(kubectl, control_plane.kubeconfig, site.namespace), chosen)


@pytest.fixture(autouse=True)
def terminal(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    monkeypatch.setenv("COLUMNS", "105")


@pytest.fixture
def stage(
    old: OldRegistry,
    people: People,
    admin: ApiClient,
    control_plane: ControlPlane,
    tmp_path: Path,
) -> Iterator[Stage]:
    store = SqlEventStore(open_engine(old.url), upcast=upcast)
    operator = _operator(control_plane, tmp_path, people.site, old.url, "operator")
    rollouts = RolloutSite(admin, people.kubectl.program, control_plane.kubeconfig)
    with application_engine(old.url) as engine:
        stage = Stage(operator, people, OldTeam(old, engine, people.declared), rollouts, store)
        try:
            yield stage
        finally:
            print(f"\n{stage.kills} kills, {stage.head()} events", *stage.said, sep="\n")
            if operator.alive:
                operator.stop()
            rollouts.clear()
            store.close()


@pytest.fixture
def deaf(
    stage: Stage, old: OldRegistry, control_plane: ControlPlane, tmp_path: Path
) -> Iterator[MortalOperator]:
    """Another operator, which is going to miss a change of phase."""
    deaf = _operator(control_plane, tmp_path, stage.people.site, old.url, "deaf")
    yield deaf
    if deaf.alive:
        deaf.kill()


def _operator(plane: ControlPlane, folder: Path, site: Site, url: str, name: str) -> MortalOperator:
    return MortalOperator(
        plane.kubeconfig,
        folder,
        name,
        namespaces=site.namespace,
        namespace=site.namespace,
        legacy_namespace=site.namespace,
        store_url=url,
        rollout_interval=1,
    )


def test_a_registry_moves_into_the_log_and_loses_nothing(
    stage: Stage, deaf: MortalOperator, tmp_path: Path
) -> None:
    fates = iter(_FATES)
    adopted(stage, tmp_path, next(fates))
    with stage.people.busy.on():
        with stage.old.busy.on():
            legacy(stage)
            dual_write(stage, next(fates))
            back_to_legacy(stage, next(fates))
        projection_only(stage, next(fates))
        then = utc_now()
        older_operator(stage, deaf, next(fates))
        corrupted(stage)
        async_commands(stage, next(fates))
        back_by_itself(stage, next(fates))
        retired(stage, next(fates), next(fates))
        assert_the_log_answers(stage, then, said_then="kubectl in ProjectionOnly")
        dropped(stage)
    at_the_end(stage)
    assert stage.kills == len(_FATES) - 1
