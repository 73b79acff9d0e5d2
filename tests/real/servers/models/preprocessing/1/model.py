from triton_models import Preprocessing as TritonPythonModel  # noqa: F401
