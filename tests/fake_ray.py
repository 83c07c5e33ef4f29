"""Just enough of Ray's interface for one process: calls are carried out when they are waited for, in their order."""

from types import SimpleNamespace


class RayActorError(Exception):
    pass


class FakeRay:
    """Counts what is asked of it; an actor whose number is in `dies_at` is lost in the call of that number."""

    exceptions = SimpleNamespace(RayActorError=RayActorError)

    def __init__(self, dies_at=()):
        self.dies_at = dict(dies_at)
        self.told = {}
        self.killed = []
        self.down = False

    def remote(self, **options):
        self.options = options
        return lambda cls: SimpleNamespace(remote=lambda *args: Actor(self, cls, args))

    def wait(self, calls, num_returns, timeout=None):
        assert num_returns in ({1} if timeout is None else {1, len(calls)})
        return calls[:num_returns], calls[num_returns:]

    def get(self, call):
        return call()

    def kill(self, actor):
        self.killed.append(actor.index)

    def shutdown(self):
        assert not self.down
        self.down = True

    def cluster_resources(self):
        return {"CPU": 2.0}


class Actor:
    def __init__(self, ray, cls, args):
        self.ray, self.made, self.index, self.calls = ray, cls(*args), args[-1], 0
        self.slice = SimpleNamespace(remote=self._call)
        self.close = SimpleNamespace(remote=lambda: self.made.close)

    def _call(self, *args):
        def carried_out():
            self.calls += 1
            self.ray.told.setdefault(self.index, []).append(args)
            if self.ray.dies_at.get(self.index) == self.calls:
                raise RayActorError
            return self.made.slice(*args)

        return carried_out
