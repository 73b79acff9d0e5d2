from triton_models import Postprocessing as TritonPythonModel  # noqa: F401
