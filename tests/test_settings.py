"""The environment chooses; nothing else in the package reads it."""

import pytest

from stsmt.errors import UserError
from stsmt.settings import BUNDLED_MODEL, Settings


def test_defaults_are_the_bundled_model_on_the_cpu() -> None:
    settings = Settings.read({})
    assert (settings.model, settings.engine, settings.device, settings.port) == (
        str(BUNDLED_MODEL),
        "transformers",
        "cpu",
        7860,
    )


def test_every_setting_is_read() -> None:
    names = ("model", "db", "ratings", "host", "device")
    settings = Settings.read(
        {f"STSMT_{name.upper()}": name for name in names} | {"STSMT_PORT": "80", "STSMT_AT_ONCE": "4"}
    )
    assert all(getattr(settings, name) == name for name in names)
    assert (settings.port, settings.at_once) == (80, 4)


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "x"), ("PORT", "99999"), ("ENGINE", "magic"), ("AT_ONCE", "0"), ("AT_ONCE", "-1")]
)
def test_a_value_that_cannot_be_used_gets_a_sentence(name: str, value: str) -> None:
    with pytest.raises(UserError, match=name):
        Settings.read({f"STSMT_{name}": value})
