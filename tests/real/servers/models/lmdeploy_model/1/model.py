from triton_models import LmdeployModel as TritonPythonModel  # noqa: F401
