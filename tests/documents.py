"""The commands in the documents, and which test runs each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

# Runs what stands in the documents, word for word but for ports and ids.
LIVE: Final = "tests/end_to_end/test_documents.py::test_what_operators_are_told_works"
MAKE: Final = "tests/end_to_end/test_documents.py::test_what_developers_are_told_works"
# It runs before every merge, and with it what stands there.
CI: Final = ".ci/run"
# How a command begins, and what runs it, or looks at it (CHECKED_ONLY); the longest that fits
# decides.
COMMANDS: Final[Mapping[str, str]] = {
    "payments ": LIVE,
    "curl ": LIVE,
    "make setup": MAKE,
    "make format": MAKE,
    "make contracts": MAKE,
    "make docs": MAKE,
    "make lock": MAKE,
    "make check": CI,
    "make test": CI,
    "make run": (
        "tests/end_to_end/test_sandbox.py::"
        "test_on_a_bare_machine_it_brings_its_own_servers_and_takes_them_along"
    ),
    "payments sandbox ": (
        "tests/end_to_end/test_sandbox.py::test_a_scenario_ends_with_all_sides_agreeing"
    ),
    # The environment of every end-to-end test is made by it.
    "payments migrate --grant-to ": (
        "tests/end_to_end/test_secrets.py::"
        "test_no_secret_is_in_a_log_at_debug_level_in_an_answer_or_in_a_dead_letter"
    ),
    "payments doctor": "tests/sandbox/test_doctor.py::test_where_all_is_well_nothing_fails",
    "payments explain ": (
        "tests/api/test_explain.py::test_all_names_of_a_subscription_lead_to_the_same_story"
    ),
    # `make test` runs it first; what it builds is what this drives.
    "make test-web": (
        "tests/end_to_end/test_page.py::test_what_people_do_on_the_page_reaches_the_tables_and_the_users_service"
    ),
    # What these three do by the hundred and more, or ask others of, the tests do a little of.
    "make audit": "tests/unit/test_audit.py::test_there_is_no_secret_in_what_we_keep",
    "make faults": "tests/faults/test_faults.py::test_many_faults_on_a_cluster",
    "make fuzz": "tests/fuzz/test_fuzz.py::test_nothing_but_what_is_promised_comes_of_any_bytes",
    # Figures want a quiet machine, and minutes: the tests run its parts.
    "make bench": "tests/benchmarks/test_bench.py::test_every_measure_has_a_share",
    "SCHEMATHESIS_EXAMPLES=": (
        "tests/api/test_schemathesis.py::test_it_finds_no_fault_with_a_new_user"
    ),
    # But that the test has built the image before, from the same Dockerfile.
    "docker-compose up": (
        "tests/deploy/test_compose.py::test_the_core_comes_up_and_a_webhook_becomes_a_message"
    ),
    # The images of the profile cannot be had everywhere. What they are given is tested with
    # a Prometheus of Debian's in tests/end_to_end/test_prometheus.py.
    "docker-compose --profile observability up": (
        "tests/deploy/test_compose.py::"
        "test_the_observing_services_are_behind_a_profile_and_read_what_is_in_deploy"
    ),
    # There is no cluster: what it is told to apply is held to the schemas of Kubernetes.
    "kubectl ": "tests/deploy/test_kubernetes.py::test_a_manifest_fits_the_schema_strictly",
    "kubectl apply -k deploy/kubernetes --selector": (
        "tests/deploy/test_kubernetes.py::"
        "test_what_is_applied_first_is_all_that_the_migration_needs"
    ),
    "sed ": "tests/deploy/test_alerts.py::test_alerts_lead_to_where_the_runbook_is_kept",
    "rabbitmqctl set_permissions ": (
        "tests/integration/test_rabbitmq.py::test_a_user_with_the_least_permissions_can_publish"
    ),
    "DATABASE_URL=postgresql://payments_owner": (
        "tests/end_to_end/test_secrets.py::"
        "test_no_secret_is_in_a_log_at_debug_level_in_an_answer_or_in_a_dead_letter"
    ),
}
# Of these the test looks at what they would be given, or runs a part; it does not run them.
CHECKED_ONLY: Final = (
    "kubectl ",
    "docker-compose --profile ",
    "make bench",
    "make audit",
    "make faults",
    "make fuzz",
)

# What a command in a block that is only indented begins with.
PROGRAMS: Final = frozenset(
    {"payments", "make", "curl", "sed", "docker-compose", "kubectl", "rabbitmqctl", "npm"}
)


def commands_of(document: Path) -> list[str]:
    """Every command in the blocks that are marked as shell, and in those that are indented."""
    text = document.read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [
        line for line in re.findall(r"^ {4}(\S.*)", text, re.M) if program_of(line) in PROGRAMS
    ]
    return [command for line in lines if (command := re.sub(r"\s+#.*", "", line).strip())]


def of_this_month(command: str) -> str:
    """The command with a day of the last thirty in place of the one that stands for it."""
    day = f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}"
    return re.sub(r"(?<=--since )\S+", day, command)


def program_of(command: str) -> str:
    """The program that a line of shell calls; the variables that are set for it do not count."""
    words = [word for word in command.split() if not re.match(r"[A-Z_]+=", word)]
    return words[0] if words else ""


def run_by(command: str) -> str | None:
    """The test that runs this command; None where none is known."""
    fitting = [start for start in COMMANDS if command.startswith(start)]
    return COMMANDS[max(fitting, key=len)] if fitting else None


def target_of(command: str) -> str:
    """What `make` is to make."""
    return command.split()[1]
