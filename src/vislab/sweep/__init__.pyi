from .study import Sweep as Sweep
