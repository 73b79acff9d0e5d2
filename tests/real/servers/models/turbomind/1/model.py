from triton_models import Turbomind as TritonPythonModel  # noqa: F401
