import logging

from planning.control.log.journal import Journal
from planning.control.loop.events import Events
from planning.control.loop.status import Reason


def test_an_event_is_said_once_when_it_begins_and_once_when_it_ends(caplog):
    journal = Journal(logging.getLogger("test"))
    events = Events(journal)
    with caplog.at_level(logging.WARNING):
        changes = [events.update(wrong, float(i)) for i, wrong in enumerate([[Reason.LATE]] * 1000 + [[]] * 1000)]
    assert changes[0] == ("+late",) and changes[1000] == ("-late",) and changes.count(()) == 1998
    journal.start()
    journal.close(60.0)
    assert len(caplog.records) == 2 and events.counts == {"late": 1}


def test_two_controllers_count_their_own_events():
    one, other = (Events(Journal(logging.getLogger("test"))) for _ in range(2))
    one.update([Reason.LATE], 0.0)
    assert one.counts["late"] == 1 and other.counts["late"] == 0 and not other.active
