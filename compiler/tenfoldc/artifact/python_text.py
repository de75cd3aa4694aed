"""The hand-written part of the Python functions: IR for checking an argument, reading a number, making a
result.

Offsets into Python's and NumPy's objects come from `tenfold_rt.python_abi`.  The functions that do not run on
the usual path are marked `cold` and `noinline`, which keeps the usual path in few cache lines.
"""

from __future__ import annotations

from tenfold_rt import dtypes, python_abi
from tenfold_rt.dtypes import DType
from tenfold_rt.python_abi import Slot

# The dtypes that a Python number converts to.
NUMBERS = frozenset({dtypes.bool_, dtypes.f32, dtypes.f64} | {d for d in dtypes.ALL if d.is_integer})

_NATIVE, _NOT_APPLICABLE = ord("="), ord("|")


def array_dtype(dtype: DType, type_numbers: tuple[int, int]) -> str:
    """The arguments of `@tenfold.array` that say which dtype it wants."""
    return f"i64 {8 * python_abi.dtype_slot(dtype)}, i32 {type_numbers[0]}, i32 {type_numbers[1]}"


def _slot(name: str, slot: Slot) -> str:
    """Lines that load `%name` from the table."""
    return f"  %{name}.at = getelementptr i8, ptr %api, i64 {8 * slot}\n  %{name} = load ptr, ptr %{name}.at\n"


def shared(exported: str, initialise: str) -> str:
    """The functions that every entry's function calls, and `LIBRARY_python`, whose body begins with `initialise`."""
    return f"""\
@tenfold.api = internal global ptr null
define ptr {exported}(ptr %table) nounwind {{
{initialise}\
  store ptr %table, ptr @tenfold.api
  ret ptr @tenfold.methods
}}
{_ARRAY}{_EQUIVALENT}{_CONTEXT}{_NEW}{_PACK}{_DROP}{_RAISE}{_DECLINE}"""


# The data of `object` if it is an array that can be used as it stands, else null.  Not copied into each call of it,
# which would take longer to compile than it saves.
_ARRAY = f"""\
define internal ptr @tenfold.array(ptr %api, ptr %object, i64 %slot, i32 %number, i32 %alias, i32 %rank,
    ptr %shape, i32 %need) noinline nounwind {{
entry:
  %type.at = getelementptr i8, ptr %object, i64 {python_abi.OBJECT_TYPE}
  %type = load ptr, ptr %type.at
{_slot("array.type", Slot.ARRAY_TYPE)}\
  %is.array = icmp eq ptr %type, %array.type
  br i1 %is.array, label %array, label %no
array:
  %dtype.at = getelementptr i8, ptr %object, i64 {python_abi.ARRAY_DTYPE}
  %dtype = load ptr, ptr %dtype.at
  %want.at = getelementptr i8, ptr %api, i64 %slot
  %want = load ptr, ptr %want.at
  %flags.at = getelementptr i8, ptr %object, i64 {python_abi.ARRAY_FLAGS}
  %flags = load i32, ptr %flags.at
  %have = and i32 %flags, %need
  %fit = icmp eq i32 %have, %need
  %rank.at = getelementptr i8, ptr %object, i64 {python_abi.ARRAY_NDIM}
  %object.rank = load i32, ptr %rank.at
  %ranks = icmp eq i32 %object.rank, %rank
  %usable = and i1 %fit, %ranks
  br i1 %usable, label %element, label %no
element:
  %same = icmp eq ptr %dtype, %want
  br i1 %same, label %sizes, label %look
look:
  %equivalent = call i1 @tenfold.equivalent(ptr %dtype, i32 %number, i32 %alias)
  br i1 %equivalent, label %sizes, label %no
sizes:
  %sizes.at = getelementptr i8, ptr %object, i64 {python_abi.ARRAY_DIMENSIONS}
  %object.shape = load ptr, ptr %sizes.at
  %scalar = icmp eq i32 %rank, 0
  %count = zext i32 %rank to i64
  br i1 %scalar, label %yes, label %size
size:
  %i = phi i64 [0, %sizes], [%next, %matched]
  %have.at = getelementptr i64, ptr %object.shape, i64 %i
  %have.size = load i64, ptr %have.at
  %want.size.at = getelementptr i64, ptr %shape, i64 %i
  %want.size = load i64, ptr %want.size.at
  %match = icmp eq i64 %have.size, %want.size
  br i1 %match, label %matched, label %no
matched:
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %size, label %yes
yes:
  %data.at = getelementptr i8, ptr %object, i64 {python_abi.ARRAY_DATA}
  %data = load ptr, ptr %data.at
  ret ptr %data
no:
  ret ptr null
}}
"""

# Whether a dtype object that is not NumPy's own (from a pickle, with metadata, C's other 64-bit integer) is
# the same.
_EQUIVALENT = f"""\
define internal i1 @tenfold.equivalent(ptr %dtype, i32 %number, i32 %alias) noinline cold nounwind {{
  %number.at = getelementptr i8, ptr %dtype, i64 {python_abi.DTYPE_TYPE_NUMBER}
  %have = load i32, ptr %number.at
  %first = icmp eq i32 %have, %number
  %second = icmp eq i32 %have, %alias
  %kind = or i1 %first, %second
  %order.at = getelementptr i8, ptr %dtype, i64 {python_abi.DTYPE_BYTE_ORDER}
  %order = load i8, ptr %order.at
  %native = icmp eq i8 %order, {_NATIVE}
  %bytes = icmp eq i8 %order, {_NOT_APPLICABLE}
  %order.fits = or i1 %native, %bytes
  %fits = and i1 %kind, %order.fits
  ret i1 %fits
}}
"""

# The context of a call: that of what the function is bound to, or the process's.
_CONTEXT = f"""\
define internal ptr @tenfold.context(ptr %api, ptr %self) nounwind {{
entry:
  %unbound = icmp eq ptr %self, null
  br i1 %unbound, label %common, label %bound
bound:
  %type.at = getelementptr i8, ptr %self, i64 {python_abi.OBJECT_TYPE}
  %type = load ptr, ptr %type.at
{_slot("own.type", Slot.OWN_CONTEXT_TYPE)}\
  %is.own = icmp eq ptr %type, %own.type
  br i1 %is.own, label %own, label %common
own:
  %own.at = getelementptr i8, ptr %self, i64 {python_abi.CTYPES_DATA}
  %own.context = load ptr, ptr %own.at
  ret ptr %own.context
common:
{_slot("context", Slot.CONTEXT)}\
  ret ptr %context
}}
"""

_NEW = f"""\
define internal ptr @tenfold.new(ptr %api, i64 %slot, i32 %rank, ptr %shape) nounwind {{
  %dtype.at = getelementptr i8, ptr %api, i64 %slot
  %dtype = load ptr, ptr %dtype.at
{_slot("incref", Slot.INCREF)}\
  call void %incref(ptr %dtype)
{_slot("new", Slot.ARRAY_NEW)}\
{_slot("type", Slot.ARRAY_TYPE)}\
  %array = call ptr %new(ptr %type, ptr %dtype, i32 %rank, ptr %shape, ptr null, ptr null, i32 0, ptr null)
  ret ptr %array
}}
"""

# A tuple that owns the objects; where there is none they are released.
_PACK = f"""\
define internal ptr @tenfold.pack(ptr %api, ptr %objects, i64 %count) nounwind {{
entry:
{_slot("new", Slot.TUPLE_NEW)}\
{_slot("set", Slot.TUPLE_SET_ITEM)}\
  %tuple = call ptr %new(i64 %count)
  %failed = icmp eq ptr %tuple, null
  br i1 %failed, label %fail, label %test
test:
  %i = phi i64 [0, %entry], [%next, %item]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %item, label %done
item:
  %object.at = getelementptr ptr, ptr %objects, i64 %i
  %object = load ptr, ptr %object.at
  %ignored = call i32 %set(ptr %tuple, i64 %i, ptr %object)
  %next = add i64 %i, 1
  br label %test
done:
  ret ptr %tuple
fail:
  call void @tenfold.drop(ptr %api, ptr %objects, i64 %count)
  ret ptr null
}}
"""

_DROP = f"""\
define internal void @tenfold.drop(ptr %api, ptr %objects, i64 %count) noinline cold nounwind {{
entry:
{_slot("decref", Slot.DECREF)}\
  br label %test
test:
  %i = phi i64 [0, %entry], [%next, %item]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %item, label %done
item:
  %object.at = getelementptr ptr, ptr %objects, i64 %i
  %object = load ptr, ptr %object.at
  call void %decref(ptr %object)
  %next = add i64 %i, 1
  br label %test
done:
  ret void
}}
"""

_RAISE = f"""\
define internal void @tenfold.raise(ptr %api, i32 %status) noinline cold nounwind {{
  %message = call ptr @tenfold.message(i32 %status)
{_slot("error", Slot.ARTIFACT_ERROR)}\
{_slot("set", Slot.ERROR_SET_STRING)}\
  call void %set(ptr %error, ptr %message)
  ret void
}}
"""

_DECLINE = f"""\
define internal ptr @tenfold.decline(ptr %api, ptr %self, ptr %args, i64 %count, ptr %keywords)
    noinline cold nounwind {{
entry:
  %alone = icmp eq ptr %self, null
  br i1 %alone, label %return, label %delegate
return:
{_slot("declined", Slot.NOT_IMPLEMENTED)}\
{_slot("incref", Slot.INCREF)}\
  call void %incref(ptr %declined)
  ret ptr %declined
delegate:
{_slot("vectorcall", Slot.VECTORCALL)}\
  %result = call ptr %vectorcall(ptr %self, ptr %args, i64 %count, ptr %keywords)
  ret ptr %result
}}
"""


def scalar(dtype: DType, type_numbers: tuple[int, int]) -> str:
    """A function that returns a pointer to a rank-0 argument's value: in its array, or in `number` if it is a
    number.
    """
    if dtype.is_bool:
        body = _BOOL
    elif dtype.is_float:
        body = _FLOAT.replace("STORE", _STORE_F32 if dtype.bits == 32 else _STORE_F64)
    else:
        body = _integer(dtype)
    flags = python_abi.C_CONTIGUOUS | python_abi.ALIGNED
    return f"""\
define internal ptr @tenfold.scalar.{dtype.name}(ptr %api, ptr %object, ptr %number) nounwind {{
  %type.at = getelementptr i8, ptr %object, i64 {python_abi.OBJECT_TYPE}
  %type = load ptr, ptr %type.at
{body}\
array:
  %data = call ptr @tenfold.array(ptr %api, ptr %object, {array_dtype(dtype, type_numbers)}, i32 0,
    ptr null, i32 {flags})
  ret ptr %data
}}
"""


_BOOL = f"""\
{_slot("true", Slot.TRUE)}\
{_slot("false", Slot.FALSE)}\
  %is.true = icmp eq ptr %object, %true
  %is.false = icmp eq ptr %object, %false
  %is.bool = or i1 %is.true, %is.false
  br i1 %is.bool, label %value, label %array
value:
  %byte = zext i1 %is.true to i8
  store i8 %byte, ptr %number
  ret ptr %number
"""

_STORE_F64 = "  store double %value, ptr %number\n"
_STORE_F32 = "  %single = fptrunc double %value to float\n  store float %single, ptr %number\n"

# A conversion that fails says so with -1 and an error set; the error is cleared and the argument left to the
# slow path.
_FAILURE = f"""\
suspicious:
{_slot("occurred", Slot.ERROR_OCCURRED)}\
  %error = call ptr %occurred()
  %fine = icmp eq ptr %error, null
  br i1 %fine, label %store, label %refuse
refuse:
{_slot("clear", Slot.ERROR_CLEAR)}\
  call void %clear()
  ret ptr null
"""

_FLOAT = f"""\
{_slot("float.type", Slot.FLOAT_TYPE)}\
  %is.float = icmp eq ptr %type, %float.type
  br i1 %is.float, label %float, label %other
float:
{_slot("from.float", Slot.FLOAT_AS_DOUBLE)}\
  %float.value = call double %from.float(ptr %object)
  br label %store
other:
{_slot("long.type", Slot.LONG_TYPE)}\
  %is.long = icmp eq ptr %type, %long.type
  br i1 %is.long, label %long, label %array
long:
{_slot("from.long", Slot.LONG_AS_DOUBLE)}\
  %long.value = call double %from.long(ptr %object)
  %minus.one = fcmp oeq double %long.value, -1.0
  br i1 %minus.one, label %suspicious, label %store
{_FAILURE}\
store:
  %value = phi double [%float.value, %float], [%long.value, %long], [%long.value, %suspicious]
STORE\
  ret ptr %number
"""


def _integer(dtype: DType) -> str:
    convert = Slot.LONG_AS_LONG_LONG if dtype.is_signed else Slot.LONG_AS_UNSIGNED_LONG_LONG
    extend = "sext" if dtype.is_signed else "zext"
    narrow = "%wide"
    fit = "  br label %fits\n"
    if dtype.bits < 64:
        narrow = "%narrow"
        fit = f"""\
  %narrow = trunc i64 %wide to i{dtype.bits}
  %again = {extend} i{dtype.bits} %narrow to i64
  %in.range = icmp eq i64 %again, %wide
  br i1 %in.range, label %fits, label %too.wide
too.wide:
  ret ptr null
"""
    return f"""\
{_slot("long.type", Slot.LONG_TYPE)}\
  %is.long = icmp eq ptr %type, %long.type
  br i1 %is.long, label %long, label %array
long:
{_slot("from.long", convert)}\
  %wide = call i64 %from.long(ptr %object)
  %minus.one = icmp eq i64 %wide, -1
  br i1 %minus.one, label %suspicious, label %store
{_FAILURE}\
store:
{fit}\
fits:
  store i{dtype.bits} {narrow}, ptr %number
  ret ptr %number
"""
