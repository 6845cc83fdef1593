"""What every test has at hand: the controller, and accounts of its own."""

import pytest

from controller import Controller


@pytest.fixture(scope="session")
def controller():
    return Controller.of_this_run()


@pytest.fixture(scope="module")
def provider(controller):
    return controller.account("provider")


@pytest.fixture(scope="module")
def consumer(controller):
    return controller.account("consumer")
