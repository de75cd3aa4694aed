"""Tenfold: an ahead-of-time compiler for tensor programs.

    import tenfold as tn

    @tn.compile
    def predict(weights: tn.f32[784, 10], images: tn.f32[32, 784]):
        return tn.softmax(images @ weights, dim=-1)

Calling `predict` runs native code; `predict.export("libpredict.so")` writes it as a C library.  The functions here
have PyTorch's names and take NumPy's `axis` and `keepdims` as well as `dim` and `keepdim`.
"""

from tenfold import accelerator, autograd, cuda, lazy, linalg, nn, optim, random, utils
from tenfold.compile import Compiled, Lowered, compile  # noqa: A004 - PyTorch's name
from tenfold.construction import as_tensor, asarray, from_dlpack, from_numpy, tensor
from tenfold.control.branches import cond, switch
from tenfold.control.loops import fori_loop, while_loop
from tenfold.control.scans import associative_scan, map, scan  # noqa: A004
from tenfold.default_dtype import get_default_dtype, set_default_dtype
from tenfold.device import Device as device  # noqa: N813 - PyTorch's name
from tenfold.device import get_default_device, set_default_device
from tenfold.export import export
from tenfold.functions import (
    arithmetic,
    binary,
    compaction,
    creation,
    elementwise,
    factorizations,
    joining,
    linear_algebra,
    matrices,
    neural,
    parts,
    products,
    queries,
    reductions,
    return_types,
    running,
    scattering,
    searching,
    shapes,
    sorting,
    special,
    statistics,
    taking,
)
from tenfold.functions.arithmetic import *  # noqa: F403
from tenfold.functions.binary import *  # noqa: F403
from tenfold.functions.compaction import *  # noqa: F403
from tenfold.functions.creation import *  # noqa: F403
from tenfold.functions.elementwise import *  # noqa: F403
from tenfold.functions.factorizations import *  # noqa: F403
from tenfold.functions.joining import *  # noqa: F403
from tenfold.functions.linear_algebra import *  # noqa: F403
from tenfold.functions.matrices import *  # noqa: F403
from tenfold.functions.neural import *  # noqa: F403
from tenfold.functions.parts import *  # noqa: F403
from tenfold.functions.products import *  # noqa: F403
from tenfold.functions.queries import *  # noqa: F403
from tenfold.functions.reductions import *  # noqa: F403
from tenfold.functions.return_types import Extremes
from tenfold.functions.running import *  # noqa: F403
from tenfold.functions.scattering import *  # noqa: F403
from tenfold.functions.searching import *  # noqa: F403
from tenfold.functions.shapes import *  # noqa: F403
from tenfold.functions.sorting import *  # noqa: F403
from tenfold.functions.special import *  # noqa: F403
from tenfold.functions.statistics import *  # noqa: F403
from tenfold.functions.taking import *  # noqa: F403
from tenfold.gradients.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from tenfold.library import LoadedLibrary
from tenfold.nn.functional import (
    avg_pool2d,
    batch_norm,
    binary_cross_entropy_with_logits,
    conv1d,
    conv2d,
    cross_entropy,
    elu,
    embedding,
    gelu,
    layer_norm,
    leaky_relu,
    linear,
    max_pool2d,
    mse_loss,
    nll_loss,
    one_hot,
    rms_norm,
    scaled_dot_product_attention,
    silu,
    softplus,
)
from tenfold.number_limits import finfo, iinfo
from tenfold.printing import set_printoptions
from tenfold.random import sampling
from tenfold.random.generator import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from tenfold.random.sampling import *  # noqa: F403
from tenfold.saving import load, save
from tenfold.size import Size
from tenfold.specs import (
    ElementType,
    Spec,
    bf16,
    bfloat16,
    bool_,
    c64,
    c128,
    complex64,
    complex128,
    f16,
    f32,
    f64,
    float16,
    float32,
    float64,
    i8,
    i16,
    i32,
    i64,
    int8,
    int16,
    int32,
    int64,
    u8,
    u16,
    u32,
    u64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from tenfold.specs import ElementType as dtype  # noqa: N813 - as NumPy and PyTorch call it
from tenfold.specs import bool_ as bool  # noqa: A004
from tenfold.specs import complex64 as cfloat
from tenfold.specs import complex128 as cdouble
from tenfold.specs import float16 as half
from tenfold.specs import float32 as float  # noqa: A004
from tenfold.specs import float64 as double
from tenfold.specs import int16 as short
from tenfold.specs import int32 as int  # noqa: A004
from tenfold.specs import int64 as long
from tenfold.tensor import Tensor
from tenfold.threads import get_num_threads, set_num_threads, threads
from tenfold.transforms.custom import checkpoint, custom_jvp, custom_vjp
from tenfold.transforms.grad import grad, value_and_grad
from tenfold.transforms.products import hessian, hvp, jacfwd, jacrev, jvp, vjp
from tenfold.transforms.vmap import vmap
from tenfold_rt import errors
from tenfold_rt.errors import (
    ArgumentError,
    ArtifactError,
    DeviceError,
    DeviceMemoryError,
    DTypeError,
    FileFormatError,
    ParseError,
    PlacementError,
    RangeError,
    RequestError,
    SaveError,
    ShapeError,
    SpecError,
    TenfoldError,
    TraceError,
    UnsafeFileError,
    UnsupportedError,
    VerificationError,
    WorkerTimeoutError,
)
from tenfold_rt.version import __version__

__all__ = [
    "ArgumentError",
    "ArtifactError",
    "Compiled",
    "DTypeError",
    "DeviceError",
    "DeviceMemoryError",
    "ElementType",
    "Extremes",
    "FileFormatError",
    "Generator",
    "LoadedLibrary",
    "Lowered",
    "ParseError",
    "PlacementError",
    "RangeError",
    "RequestError",
    "SaveError",
    "ShapeError",
    "Size",
    "Spec",
    "SpecError",
    "TenfoldError",
    "Tensor",
    "TraceError",
    "UnsafeFileError",
    "UnsupportedError",
    "VerificationError",
    "WorkerTimeoutError",
    "__version__",
    "accelerator",
    "as_tensor",
    "asarray",
    "associative_scan",
    "autograd",
    "avg_pool2d",
    "batch_norm",
    "bf16",
    "bfloat16",
    "binary_cross_entropy_with_logits",
    "bool",
    "bool_",
    "c64",
    "c128",
    "cdouble",
    "cfloat",
    "checkpoint",
    "compile",
    "complex64",
    "complex128",
    "cond",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "cuda",
    "custom_jvp",
    "custom_vjp",
    "default_generator",
    "device",
    "double",
    "dtype",
    "elu",
    "embedding",
    "enable_grad",
    "errors",
    "export",
    "f16",
    "f32",
    "f64",
    "finfo",
    "float",
    "float16",
    "float32",
    "float64",
    "fori_loop",
    "from_dlpack",
    "from_numpy",
    "gelu",
    "get_default_device",
    "get_default_dtype",
    "get_num_threads",
    "get_rng_state",
    "grad",
    "half",
    "hessian",
    "hvp",
    "i8",
    "i16",
    "i32",
    "i64",
    "iinfo",
    "inference_mode",
    "initial_seed",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "jacfwd",
    "jacrev",
    "jvp",
    "layer_norm",
    "lazy",
    "leaky_relu",
    "linalg",
    "linear",
    "load",
    "long",
    "manual_seed",
    "map",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "nn",
    "no_grad",
    "one_hot",
    "optim",
    "random",
    "return_types",
    "rms_norm",
    "save",
    "scaled_dot_product_attention",
    "scan",
    "seed",
    "set_default_device",
    "set_default_dtype",
    "set_grad_enabled",
    "set_num_threads",
    "set_printoptions",
    "set_rng_state",
    "short",
    "silu",
    "softplus",
    "switch",
    "tensor",
    "threads",
    "u8",
    "u16",
    "u32",
    "u64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "utils",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
__all__ += arithmetic.__all__
__all__ += binary.__all__
__all__ += compaction.__all__
__all__ += creation.__all__
__all__ += elementwise.__all__
__all__ += factorizations.__all__
__all__ += taking.__all__
__all__ += joining.__all__
__all__ += linear_algebra.__all__
__all__ += matrices.__all__
__all__ += neural.__all__
__all__ += parts.__all__
__all__ += products.__all__
__all__ += queries.__all__
__all__ += reductions.__all__
__all__ += running.__all__
__all__ += sampling.__all__
__all__ += scattering.__all__
__all__ += searching.__all__
__all__ += shapes.__all__
__all__ += sorting.__all__
__all__ += special.__all__
__all__ += statistics.__all__
