"""What a launch can say before anything is stored: how long it takes, whether the list has the columns."""

from pathlib import Path
from typing import Any

import pytest

from shared.durations import DURATIONS
from shared.messaging.campaigns.file import Checked, FileError
from shared.messaging.campaigns.launch import check_text, duration_s
from shared.payloads import BroadcastCampaign


def wanted(**fields: Any) -> BroadcastCampaign:
    told = {"campaign_id": "spring", "phone_number_id": "1001", "message_text": "Hello {{name}}"} | fields
    return BroadcastCampaign.model_validate(told)


def test_a_campaign_takes_as_long_as_its_batches_or_its_number() -> None:
    batches = wanted(batch_size=10, batch_delay_ms=60_000)
    swift = wanted(batch_size=10_000, batch_delay_ms=0)

    assert duration_s(batches, 10, number_mps=80.0) == round(10 / (80.0 * DURATIONS.number_rate_share), 1)
    assert duration_s(batches, 31, number_mps=80.0) == 180.0
    assert duration_s(swift, 1000, number_mps=10.0) == round(100 / DURATIONS.number_rate_share, 1)
    assert duration_s(swift, 0, number_mps=10.0) == 0.0


def test_a_text_whose_variable_has_no_column_is_refused() -> None:
    path = Path("list.csv")

    check_text(wanted(), path, ["name", "city"])
    with pytest.raises(
        FileError, match=r"^list.csv: no column for name of the text \(there are: city, town\)$"
    ):
        check_text(wanted(), path, ["city", "town"])
    with pytest.raises(FileError, match=r"\(there are: none\)$"):
        check_text(wanted(), path, [])


@pytest.mark.parametrize(
    ("recipients", "problems", "skip_invalid", "usable"),
    [(1, 0, False, True), (1, 1, False, False), (1, 1, True, True), (0, 0, True, False), (0, 1, True, False)],
)
def test_a_list_is_usable_if_it_names_somebody_and_wrong_lines_may_be_skipped(
    recipients: int, problems: int, skip_invalid: bool, usable: bool
) -> None:
    checked = Checked(["name"], recipients=recipients, problem_count=problems)

    assert checked.is_usable(skip_invalid=skip_invalid) == usable
