"""Many workers: what one finds the others are told, one that is lost costs its slice, the folder holds everything."""

import errno
import os
import signal
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_ray import FakeRay
from test_fuzz import FINDING

from bsim.bench.planted import FAULTS
from bsim.card import Uicc
from bsim.cli import main
from bsim.fleet.spawn import spawn
from bsim.fuzz import cluster, parallel
from bsim.fuzz.campaign import Campaign, Options
from bsim.fuzz.crew import lead
from bsim.fuzz.files import Folder
from bsim.fuzz.result import Exit
from bsim.fuzz.workers import Coordinator, SliceResult, Worker

OPTIONS = Options(11, roots=("operational", "personalised"), phases=("explore",))
SHORT = 0.02


class Scripted:
    """A crew whose workers answer as they are told to: a number of APDUs, a slice, or None when they are lost."""

    def __init__(self, script):
        self.script = {index: list(answers) for index, answers in script.items()}
        self.asked = []
        self.stopped = False
        self.last = []

    def start(self, index):
        assert index not in {one for one, _, _ in self.asked}, "a number is used once"

    def ask(self, index, seeds, known):
        self.asked.append((index, seeds, known))
        self.waiting = [*getattr(self, "waiting", []), index]

    def wait(self, seconds=None):
        index = self.waiting.pop(0)
        answer = self.script[index].pop(0)
        if isinstance(answer, int):
            answer = SliceResult(answer, 1, 1, 0, 0, (), (), ())
        return [(index, answer)]

    def stop(self):
        self.stopped = True
        return self.last


def test_a_lost_worker_costs_its_slice_and_is_replaced():
    crew = Scripted({0: [100, None], 1: [50, 90, 400], 2: [600, 700]})
    report = lead(crew, 2, Coordinator(replace(OPTIONS, max_apdus=900)))
    assert report.apdus == 100 + 400 + 700  # what worker 0 handed over before it was lost is kept
    assert report.notes == ("1 workers were lost",)
    assert report.workers == 3
    assert crew.stopped


def test_where_every_worker_is_lost_the_run_ends():
    crew = Scripted({index: [None] for index in range(20)})
    report = lead(crew, 2, Coordinator(OPTIONS))
    assert len(crew.asked) == 2 + 3 * 2
    assert report.exit is Exit.INTERRUPTED
    assert report.notes == ("8 workers were lost", "nobody is left to go on")
    assert crew.stopped


def test_what_is_found_in_the_last_slice_is_kept():
    crew = Scripted({0: [500, 1000], 1: [500, SliceResult(600, 1, 1, 0, 0, (), (FINDING,), ())]})
    report = lead(crew, 2, Coordinator(replace(OPTIONS, max_apdus=1_500)))
    assert (report.apdus, report.findings, report.exit) == (1_600, (FINDING,), Exit.FINDINGS)


def test_what_is_found_is_told_where_it_cannot_be_written(tmp_path, monkeypatch):
    """Also by those that are heard at the end."""

    def full(*_):
        raise OSError(errno.ENOSPC, "full", "a/file")

    others = [replace(FINDING, rule=str(number)) for number in range(3)]
    slices = [SliceResult(10, 1, 1, 0, 0, (), (one,), ()) for one in others]
    crew = Scripted({0: [slices[0]], 1: [10]})
    crew.last = [(0, slices[1]), (1, slices[2])]
    told = []
    monkeypatch.setattr(Folder, "save_finding", full)
    with pytest.raises(OSError, match="full"):
        lead(crew, 2, Coordinator(replace(OPTIONS, folder=tmp_path)), on_finding=told.append)
    assert crew.stopped
    assert told == others


def test_an_interrupted_run_keeps_the_slices_under_way():
    crew = Scripted({0: [500, 1000], 1: [SliceResult(600, 1, 1, 0, 0, (), (FINDING,), ())]})
    seen = []

    def progress(now):
        seen.append(now.apdus)
        if len(seen) == 1:
            raise KeyboardInterrupt

    report = lead(crew, 2, Coordinator(OPTIONS), progress)
    assert (report.apdus, report.findings, report.exit) == (1_100, (FINDING,), Exit.INTERRUPTED)
    assert len(crew.asked) == 2


def test_whoever_is_lost_with_the_phases_has_not_gone_through_them():
    done = SliceResult(0, 0, 0, 0, 0, (), (), (), done=True)
    report = lead(Scripted({0: [None], 1: [done], 2: [done]}), 2, Coordinator(replace(OPTIONS, phases=("smoke",))))
    assert report.exit is Exit.INTERRUPTED
    assert "smoke and boundary were not gone through" in report.notes[-1]


def test_how_cards_were_left_is_the_last_that_is_told():
    crew = Scripted({0: [SliceResult(500, 1, 1, 0, 0, (), (), (), safety=(("tries_pending", 1),))]})
    left = SliceResult(510, 1, 1, 0, 0, (), (FINDING,), (), safety=(("tries_pending", 0),), notes=("well",))
    crew.last = [(0, left)]
    report = lead(crew, 1, Coordinator(replace(OPTIONS, max_apdus=500)), replace=False)
    assert (report.apdus, report.safety, report.notes) == (510, {"tries_pending": 0}, ("well",))
    assert report.findings == (FINDING,)


def test_whom_nobody_comes_for_is_told():
    crew = Scripted({0: [None], 1: [500, 1000]})
    report = lead(crew, 2, Coordinator(replace(OPTIONS, max_apdus=900)), replace=False)
    assert report.exit is Exit.INTERRUPTED
    assert "how its card was left" in report.notes[-1]


def test_an_answer_whose_reading_was_interrupted_is_not_read_on():
    ours, theirs = Pipe()
    read = []

    def torn():
        read.append(1)
        raise KeyboardInterrupt

    crew, ended = parallel.Processes(OPTIONS, patience=1.0), []
    line = SimpleNamespace(fileno=ours.fileno, recv=torn, close=lambda: ended.append("close"))
    process = SimpleNamespace(join=lambda *_: ended.append("join"), kill=lambda: ended.append("kill"))
    crew.peers[0] = SimpleNamespace(line=line, process=process)
    theirs.send("half of it")
    with pytest.raises(KeyboardInterrupt):
        crew.wait()
    assert crew.wait(1.0) == [(0, None)]
    crew.stop()
    assert (read, ended) == ([1], ["close", "join", "close", "kill", "join"])  # it may still let go of its card
    ours.close()
    theirs.close()


def test_processes_end_when_their_phases_do():
    """No budget but the phases: a worker that does not explore is done after its slice."""
    report = parallel.run(replace(OPTIONS, roots=("personalised",), phases=("smoke",)), 2)
    assert (report.exit, report.workers) == (Exit.CLEAN, 2)
    assert report.apdus > 100


def test_what_one_finds_the_others_are_told():
    ray = FakeRay()
    actors = cluster.Actors(ray, OPTIONS, SHORT)
    with FAULTS["undeclared-sw"].plant():
        report = lead(actors, 2, Coordinator(replace(OPTIONS, max_apdus=6_000)))
    assert ray.options == {"num_cpus": 1, "max_restarts": 0}
    assert [finding.key for finding in report.findings] == ["sw-conformance/EXPORT_PUBKEYS 6A83"]
    seeds = {index: [seed for _, given, _ in calls for seed in given] for index, calls in ray.told.items()}
    assert seeds[0]
    assert seeds[1]
    assert not set(seeds[0]) & set(seeds[1])
    assert all(report.findings[0].key in calls[-1][2] for calls in ray.told.values())
    assert (sorted(ray.killed), ray.down) == ([0, 1], True)


def test_an_actor_that_dies_loses_one_slice(tmp_path):
    ray = FakeRay(dies_at={0: 3})
    options = replace(OPTIONS, folder=tmp_path, max_apdus=6_000)
    report = lead(cluster.Actors(ray, options, SHORT), 1, Coordinator(options))
    assert report.notes == ("1 workers were lost",)
    assert [index for index, calls in ray.told.items() if calls] == [0, 1]
    seeds, _ = ray.told[1][0][1:]
    assert {seed.name for seed in seeds} <= {seed.name for seed in Folder(tmp_path).seeds()}
    assert seeds  # the one that came for it goes on from what was handed over


def test_a_process_that_is_killed_loses_one_slice(tmp_path):
    options = replace(OPTIONS, folder=tmp_path, max_time=60.0)
    crew = parallel.Processes(options, 0.2)
    seen = []

    def progress(now):
        seen.append(now.apdus)
        if len(seen) == 3:
            os.kill(crew.peers[0].process.pid, signal.SIGKILL)
        if len(seen) > 6 and 0 not in crew.peers and 2 in crew.peers:
            raise KeyboardInterrupt

    report = lead(crew, 2, Coordinator(options), progress)
    assert report.exit is Exit.INTERRUPTED
    assert report.notes == ("1 workers were lost",)
    assert report.apdus == seen[-1]
    assert seen == sorted(seen)
    assert Folder(tmp_path).seeds()


def test_a_process_that_is_stopped_is_lost():
    """It is there, and says nothing: no budget of time would end the run."""

    class OneStopped(parallel.Processes):
        def start(self, index):
            super().start(index)
            if index == 1:
                os.kill(self.peers[index].process.pid, signal.SIGSTOP)

    options = replace(OPTIONS, max_time=0.5)
    report = lead(OneStopped(options, 0.1, silence=12.0), 2, Coordinator(options))
    assert report.apdus > 0
    assert report.notes == ("1 workers were lost",)


def test_processes_leave_ctrl_c_to_whoever_began_them(tmp_path):
    """Also while they begin, when each would show a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    process = spawn(Path.touch, tmp_path / "done")
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 0
    assert (tmp_path / "done").exists()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_workers_go_different_ways_and_each_the_same_again():
    def first(index):
        worker = Worker(OPTIONS, index)
        worker._campaign.step(300)
        return worker._campaign.explorer.pairs

    assert first(0) == first(0)
    assert first(0) != first(1)


def test_a_run_goes_on_without_the_cluster(tmp_path, capsys):
    """The folder is all there is: found with actors, still standing without, gone when it is mended."""
    options = replace(OPTIONS, folder=tmp_path, max_failures=1)
    with FAULTS["undeclared-sw"].plant():
        report = lead(cluster.Actors(FakeRay(), options, SHORT), 2, Coordinator(options))
        words = ["fuzz", "campaign", "--dir", str(tmp_path), "--max-apdus", "2000"]
        assert main(words) == 1
        told = capsys.readouterr()
        assert f"{report.findings[0].id} {report.findings[0].key}: still stands" in told.err
        assert f"bsim fuzz replay {tmp_path}/findings/{report.findings[0].id}.txt" in told.out
    assert main(words) == 0
    assert f"{report.findings[0].key}: fixed" in capsys.readouterr().err
    assert not Folder(tmp_path).findings()


def test_what_another_target_showed_is_not_judged_here(tmp_path):
    with FAULTS["undeclared-sw"].plant():
        (finding,) = Campaign(replace(OPTIONS, max_failures=1)).run().findings
    folder = Folder(tmp_path)
    folder.save_finding(replace(finding, target="reader:0"))
    assert main(["fuzz", "run", "--dir", str(tmp_path), "--max-apdus", "100"]) == 1
    assert folder.findings()


def test_what_another_fault_hides_is_not_called_fixed(tmp_path, capsys, monkeypatch):
    with FAULTS["undeclared-sw"].plant():
        (finding,) = Campaign(replace(OPTIONS, max_failures=1)).run().findings
        Folder(tmp_path).save_finding(finding)
        transmit = Uicc.transmit
        monkeypatch.setattr(
            Uicc, "transmit", lambda card, raw: b"\x6f\x00" if raw[1:2] == b"\xa4" else transmit(card, raw)
        )
        assert main(["fuzz", "run", "--dir", str(tmp_path), "--max-apdus", "1", "--phases", "explore"]) == 1
    assert f"{finding.key}: not to be told, another is met before it" in capsys.readouterr().err
    assert finding in Folder(tmp_path).findings()


@pytest.mark.parametrize("address", ["dask://there", "ray", "10.0.0.1:6379"])
def test_an_address_that_is_none_is_refused(address, capsys):
    assert main(["fuzz", "run", "--cluster", address]) == 2
    assert "local, or ray://HOST:PORT" in capsys.readouterr().err


def test_without_ray_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    assert main(["fuzz", "run", "--cluster", "local"]) == 2
    assert "pip install 'bsim[cluster]'" in capsys.readouterr().err
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
