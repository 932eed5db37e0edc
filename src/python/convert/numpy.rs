//! numpy arrays and scalars, over numpy's C interface.

use numpy::npyffi::{
    self, NPY_ARRAY_C_CONTIGUOUS, NPY_ORDER, NpyTypes, PY_ARRAY_API, PyArray_Descr, PyArrayObject, PyDataType_ELSIZE,
    npy_intp,
};
use pyo3::exceptions::{PyImportError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyType};
use pyo3::{ffi, intern};
use smallvec::SmallVec;

use super::DecodeError;
use super::encode::{Encoder, Walked, unsupported};
use super::types::{is_exactly, type_name};
use crate::codec::{ArrayToken, Damage};
use crate::value::{DType, Element};

/// What is needed of numpy: its array type, and the scalar type and dtype of each element type.
pub(super) struct Numpy {
    array: Py<PyType>,
    elements: Vec<(Element, Py<PyType>, Py<PyAny>)>,
}

static NUMPY: PyOnceLock<Numpy> = PyOnceLock::new();

/// numpy's numbers of the dtypes that it is built with: bool to double, and half. Between them lies long double.
const LAST_PLAIN_TYPE: i32 = 12;
const HALF_TYPE: i32 = 23;

impl Numpy {
    /// numpy, where the program has imported it: where it hasn't, no object is an array.
    pub(super) fn if_loaded<'py>(py: Python<'py>, encoder: &Encoder, depth: u32) -> Walked<Option<&'py Self>> {
        if let Some(numpy) = NUMPY.get(py) {
            return Ok(Some(numpy));
        }
        if !Self::is_imported(py) {
            return Ok(None);
        }
        encoder.before_other_code(depth)?;
        Ok(NUMPY.get_or_try_init(py, || Self::load(py)).ok())
    }

    fn is_imported(py: Python<'_>) -> bool {
        // SAFETY: the name is a str; the reference that comes back is ours, and null is an answer.
        let module =
            unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyImport_GetModule(intern!(py, "numpy").as_ptr())) };
        if module.is_none() {
            // The look-up itself may have failed, which says no more than that there is no numpy.
            let _ = PyErr::take(py);
        }
        module.is_some()
    }

    /// Sees a look-up through that another thread may have begun.
    pub(super) fn settle(py: Python<'_>) {
        if NUMPY.get(py).is_none() && Self::is_imported(py) {
            // Where it fails, there is nothing to wait for either.
            let _ = NUMPY.get_or_try_init(py, || Self::load(py));
        }
    }

    /// numpy, imported where it isn't yet.
    pub(super) fn get(py: Python<'_>) -> PyResult<&Self> {
        NUMPY.get_or_try_init(py, || {
            Self::load(py).map_err(|cause| {
                let error = PyImportError::new_err("this value holds a numpy array: to read it, pip install numpy");
                error.set_cause(py, Some(cause));
                error
            })
        })
    }

    fn load(py: Python<'_>) -> PyResult<Self> {
        let numpy = py.import("numpy")?;
        let array = numpy.getattr("ndarray")?.cast_into::<PyType>()?;
        // What the bindings would panic over is looked at first.
        let modern = py.import("numpy._core.multiarray");
        let core = if modern.is_ok() { modern? } else { py.import("numpy.core.multiarray")? };
        core.getattr("_ARRAY_API")?.cast_into::<PyCapsule>()?;
        numpy.getattr("lib")?.getattr("NumpyVersion")?;
        let dtypes = numpy.getattr("dtype")?.cast_into::<PyType>()?;
        // SAFETY: the interpreter is attached.
        let [bound_array, bound_dtype] = [NpyTypes::PyArray_Type, NpyTypes::PyArrayDescr_Type]
            .map(|name| unsafe { npyffi::get_type_object(py, name) });
        if bound_array != array.as_type_ptr() || bound_dtype != dtypes.as_type_ptr() {
            return Err(PyRuntimeError::new_err("numpy's C interface is not that of the numpy module"));
        }
        let elements = Element::ALL.into_iter().map(|element| {
            let name = if element == Element::Bool { "bool_" } else { element.name() };
            let scalar = numpy.getattr(name)?.cast_into::<PyType>()?;
            let dtype = dtypes.call1((&scalar,))?;
            if !dtype.is_instance(&dtypes)? {
                return Err(PyRuntimeError::new_err("numpy has no such dtype"));
            }
            Ok((element, scalar.unbind(), dtype.unbind()))
        });
        Ok(Self { array: array.unbind(), elements: elements.collect::<PyResult<_>>()? })
    }

    /// Whether `object` is an array, and of no subclass.
    pub(super) fn is_array(&self, object: &Bound<'_, PyAny>) -> bool {
        is_exactly(object, &self.array)
    }

    /// The element type whose scalar `object` is.
    pub(super) fn scalar_element(&self, object: &Bound<'_, PyAny>) -> Option<Element> {
        self.elements.iter().find(|(_, scalar, _)| is_exactly(object, scalar)).map(|(element, ..)| *element)
    }

    pub(super) fn encode_scalar(encoder: &mut Encoder, object: &Bound<'_, PyAny>, element: Element) -> Walked {
        let mut data = [0_u64; 1];
        // SAFETY: the object is a scalar of exactly this type, whose value has at most eight bytes.
        unsafe { PY_ARRAY_API.PyArray_ScalarAsCtype(object.py(), object.as_ptr(), (&raw mut data).cast()) };
        let mut data = data[0].to_ne_bytes();
        let data = &mut data[..element.width()];
        if cfg!(target_endian = "big") {
            data.reverse();
        }
        Ok(encoder.writer.scalar(DType::new(element, false), data)?)
    }

    /// Writes an array: its own memory where that is in row-major order, else that of a copy.
    pub(super) fn encode_array(&self, encoder: &mut Encoder, object: &Bound<'_, PyAny>, depth: u32) -> Walked {
        let py = object.py();
        let Some(dtype) = dtype_of(object) else {
            let dtype = object.getattr(intern!(py, "dtype")).and_then(|dtype| dtype.str()?.extract::<String>());
            let dtype = dtype.unwrap_or_else(|_| "unknown".into());
            return unsupported(format!("{} of dtype {dtype}", type_name(object)));
        };
        if is_row_major(object) {
            return write(encoder, object, dtype);
        }
        // Copying lets go of the interpreter's lock.
        encoder.before_other_code(depth)?;
        let array = object.as_ptr().cast::<PyArrayObject>();
        // SAFETY: the object is an array; a new reference or null comes back.
        let copy = unsafe {
            Bound::from_owned_ptr_or_err(py, PY_ARRAY_API.PyArray_NewCopy(py, array, NPY_ORDER::NPY_CORDER))?
        };
        match dtype_of(&copy) {
            Some(copied) if copied == dtype && self.is_array(&copy) && is_row_major(&copy) => {
                write(encoder, &copy, dtype)
            }
            _ => unsupported("an array that changes when it is copied"),
        }
    }

    /// The array or scalar that was stored, in memory of its own.
    pub(super) fn decode<'py>(
        &self,
        py: Python<'py>,
        token: &ArrayToken<'_>,
    ) -> Result<Bound<'py, PyAny>, DecodeError> {
        let element = token.dtype.element();
        let Some((_, _, native)) = self.elements.iter().find(|(known, ..)| *known == element) else {
            return Err(Damage::new("it holds an array of an unknown type").into());
        };
        let native = native.bind(py);
        if token.scalar {
            return Ok(decode_scalar(native, token)?);
        }
        let swapped = token.dtype.is_big_endian() != cfg!(target_endian = "big") && element.width() > 1;
        let dtype = if swapped { native.call_method1(intern!(py, "newbyteorder"), ("S",))? } else { native.clone() };
        let mut shape: SmallVec<[npy_intp; 4]> = SmallVec::new();
        for &dimension in &token.shape {
            shape.push(npy_intp::try_from(dimension).map_err(|_| Damage::new("it holds an array that is too large"))?);
        }
        let dimensions =
            i32::try_from(shape.len()).map_err(|_| Damage::new("it holds an array of too many dimensions"))?;
        // SAFETY: the type is numpy's array type, the dtype's reference is handed over, the shape has as many entries as
        // it says, and numpy itself allocates. Null is an error.
        let array = unsafe {
            let array = PY_ARRAY_API.PyArray_NewFromDescr(
                py,
                self.array.as_ptr().cast(),
                dtype.into_ptr().cast::<PyArray_Descr>(),
                dimensions,
                shape.as_mut_ptr(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                0,
                std::ptr::null_mut(),
            );
            Bound::from_owned_ptr_or_err(py, array).map_err(|error| {
                if error.is_instance_of::<PyValueError>(py) {
                    Damage::new("it holds an array that this numpy can't make").into()
                } else {
                    DecodeError::Raised(error)
                }
            })?
        };
        // SAFETY: the array was just made, of the element's width times the shape, which the reader has compared with
        // the length of the data. Nobody else has seen it.
        unsafe {
            let data = (*npyffi::_PyArray_GET_ITEM_DATA(array.as_ptr().cast::<PyArrayObject>())).data.cast::<u8>();
            if element == Element::Bool {
                for (index, byte) in token.data.iter().enumerate() {
                    data.add(index).write(byte & 1);
                }
            } else {
                std::ptr::copy_nonoverlapping(token.data.as_ptr(), data, token.data.len());
            }
        }
        Ok(array)
    }
}

fn decode_scalar<'py>(dtype: &Bound<'py, PyAny>, token: &ArrayToken<'_>) -> PyResult<Bound<'py, PyAny>> {
    let mut bytes = [0; 8];
    let bytes = &mut bytes[..token.data.len()];
    bytes.copy_from_slice(token.data);
    if token.dtype.element() == Element::Bool {
        bytes[0] &= 1;
    } else if token.dtype.is_big_endian() != cfg!(target_endian = "big") {
        bytes.reverse();
    }
    let mut aligned = [0_u64; 1];
    // SAFETY: both are at least as long as the element is wide, at most eight bytes; numpy copies from the aligned one,
    // and takes neither the dtype's reference nor the memory.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut aligned).cast(), bytes.len());
        let scalar = PY_ARRAY_API.PyArray_Scalar(
            dtype.py(),
            (&raw mut aligned).cast(),
            dtype.as_ptr().cast(),
            std::ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(dtype.py(), scalar)
    }
}

/// The dtype of an array, where it is one that values have.
fn dtype_of(object: &Bound<'_, PyAny>) -> Option<DType> {
    // SAFETY: the object is an array, so it has a dtype, whose first fields are the same in every numpy.
    let (kind, order, number, width) = unsafe {
        let descr = (*npyffi::_PyArray_GET_ITEM_DATA(object.as_ptr().cast::<PyArrayObject>())).descr;
        let fields = &*npyffi::_PyDataType_GET_ITEM_DATA(descr);
        (fields.kind, fields.byteorder, fields.type_num, PyDataType_ELSIZE(object.py(), descr))
    };
    if !(0..=LAST_PLAIN_TYPE).contains(&number) && number != HALF_TYPE {
        return None;
    }
    let [kind, order] = [kind, order].map(|letter| char::from(letter.to_ne_bytes()[0]));
    let element = match (kind, width) {
        ('b', 1) => Element::Bool,
        ('u', 1) => Element::U8,
        ('u', 2) => Element::U16,
        ('u', 4) => Element::U32,
        ('u', 8) => Element::U64,
        ('i', 1) => Element::I8,
        ('i', 2) => Element::I16,
        ('i', 4) => Element::I32,
        ('i', 8) => Element::I64,
        ('f', 2) => Element::F16,
        ('f', 4) => Element::F32,
        ('f', 8) => Element::F64,
        _ => return None,
    };
    Some(DType::new(element, order == '>' || (order == '=' && cfg!(target_endian = "big"))))
}

fn is_row_major(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is an array.
    let flags = unsafe { (*npyffi::_PyArray_GET_ITEM_DATA(object.as_ptr().cast::<PyArrayObject>())).flags };
    flags & NPY_ARRAY_C_CONTIGUOUS != 0
}

/// Writes an array that is in row-major order.
fn write(encoder: &mut Encoder, object: &Bound<'_, PyAny>, dtype: DType) -> Walked {
    // SAFETY: the object is an array, and held; its shape has as many entries as it has dimensions. Its memory is in
    // row-major order without gaps, so it is as long as the shape and the width say; nothing runs while it is read.
    unsafe {
        let fields = &*npyffi::_PyArray_GET_ITEM_DATA(object.as_ptr().cast::<PyArrayObject>());
        let dimensions = usize::try_from(fields.nd).unwrap_or(0);
        let mut shape: SmallVec<[u64; 4]> = SmallVec::new();
        let mut bytes = dtype.element().width();
        for index in 0..dimensions {
            let dimension = (*fields.dimensions.add(index)).unsigned_abs();
            shape.push(dimension as u64);
            bytes = bytes.saturating_mul(dimension);
        }
        let empty = shape.contains(&0);
        let data = if empty { &[] } else { std::slice::from_raw_parts(fields.data.cast::<u8>(), bytes) };
        Ok(encoder.writer.array(dtype, &shape, data)?)
    }
}
