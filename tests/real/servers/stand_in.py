"""Stand-ins for packages that LMDeploy's front end imports and never computes
with: torch above all, which alone is larger than everything else together.

`use("torch", ...)` lets `import torch.nn.functional`, `class A(torch.nn.Module)`,
`@torch.no_grad()`, `x: torch.Tensor | None` and even pydantic fields of such
types go through. Whoever calls one of them for its result gets nothing.
"""
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


def _is_private(name):
    return name.startswith("__") and name.endswith("__")


class _Type(type):
    """The type of every stand-in: has any attribute, takes any subscript."""

    def __getattr__(cls, name):
        if _is_private(name):
            raise AttributeError(name)
        return _type(name)

    def __getitem__(cls, _):
        return cls

    def __iter__(cls):
        return iter(())


def _type(name):
    def call(self, *args, **_):
        # As a decorator it leaves the function as it was.
        return args[0] if len(args) == 1 and callable(args[0]) else self

    def schema(cls, _source, _handler):
        from pydantic_core import core_schema
        return core_schema.any_schema()

    return _Type(name, (), {
        "__init__": lambda self, *args, **kwargs: None,
        "__call__": call,
        "__bool__": lambda self: False,
        "__enter__": lambda self: self,
        "__exit__": lambda self, *why: False,
        "__getattr__": lambda self, name: getattr(type(self), name),
        "__get_pydantic_core_schema__": classmethod(schema),
    })


class _Module(ModuleType):
    def __getattr__(self, name):
        if _is_private(name):
            raise AttributeError(name)
        # Questions such as torch.cuda.is_available() are answered with no.
        found = (lambda *_, **__: False) if name.startswith("is_") else _type(name)
        setattr(self, name, found)
        return found


class _Finder:
    def __init__(self, packages):
        self.packages = packages

    def find_spec(self, name, _path=None, _target=None):
        if name.partition(".")[0] not in self.packages:
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = _Module(spec.name)
        module.__version__ = "2.4.0"
        return module

    def exec_module(self, _module):
        pass


def use(*packages):
    """From here on these packages are stand-ins, whatever is installed."""
    sys.meta_path.insert(0, _Finder(set(packages)))


class Registry:
    """mmengine's, as far as LMDeploy keeps its chat templates in one."""

    def __init__(self, _name, **_):
        self.module_dict = {}

    def register_module(self, name):
        def keep(cls):
            for each in [name] if isinstance(name, str) else name:
                self.module_dict[each] = cls
            return cls
        return keep

    def get(self, name):
        return self.module_dict.get(name)


def module(name, **content):
    """A module of ours under another's name."""
    made = sys.modules[name] = ModuleType(name)
    vars(made).update(content)
    return made
