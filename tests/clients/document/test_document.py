"""The API against its own document, by requests that nobody would write."""

from document import generated

#: For each operation and way in, beside the ones that the document's limits give.
EXAMPLES = "3"


def test_answers_are_as_documented(controller):
    assert generated.main(controller.url, controller.socket, EXAMPLES) == 0
