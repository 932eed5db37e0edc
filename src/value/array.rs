//! Arrays of numbers: an element type, a shape and bytes, as numpy lays them out.

/// The type of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Element {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
}

/// An element type with its byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DType {
    element: Element,
    big_endian: bool,
}

impl Element {
    /// Every element type.
    pub const ALL: [Self; 12] = [
        Self::Bool,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::F16,
        Self::F32,
        Self::F64,
    ];

    /// The bytes of one element.
    pub const fn width(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The name of the type, as numpy spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// With this machine's byte order.
    pub const fn native(self) -> DType {
        DType::new(self, cfg!(target_endian = "big"))
    }

    /// The tag of its little-endian typed array less the byte order's bit (RFC 8746); `None` for booleans.
    const fn typed_array(self) -> Option<u64> {
        Some(match self {
            Self::Bool => return None,
            Self::U8 => 64,
            Self::U16 => 65,
            Self::U32 => 66,
            Self::U64 => 67,
            Self::I8 => 72,
            Self::I16 => 73,
            Self::I32 => 74,
            Self::I64 => 75,
            Self::F16 => 80,
            Self::F32 => 81,
            Self::F64 => 82,
        })
    }
}

/// The bit of a typed array's tag that says little-endian.
const LITTLE_ENDIAN: u64 = 0b100;

impl DType {
    /// `element` in the given byte order; a single byte has none.
    pub const fn new(element: Element, big_endian: bool) -> Self {
        Self { element, big_endian: big_endian && element.width() > 1 }
    }

    /// The element type.
    pub const fn element(self) -> Element {
        self.element
    }

    /// Whether each element's most significant byte comes first. Never so for single bytes.
    pub const fn is_big_endian(self) -> bool {
        self.big_endian
    }

    /// The tag of its typed array (RFC 8746); `None` for booleans, which have none.
    pub(crate) fn tag(self) -> Option<u64> {
        let tag = self.element.typed_array()?;
        Some(if self.big_endian || self.element.width() == 1 { tag } else { tag | LITTLE_ENDIAN })
    }

    /// The type of the typed array with this tag.
    pub(crate) fn from_tag(tag: u64) -> Option<Self> {
        let element = Element::ALL.into_iter().find(|element| element.typed_array() == Some(tag & !LITTLE_ENDIAN))?;
        let dtype = Self::new(element, tag & LITTLE_ENDIAN == 0);
        (dtype.tag() == Some(tag)).then_some(dtype)
    }
}

/// How many elements an array of this shape has; `None` where that is past 64 bits.
pub(crate) fn elements_of(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_u64, |count, &dimension| count.checked_mul(dimension))
}

/// An array of any shape, in row-major order; or a single numpy scalar.
///
/// Equal are those with the same type, byte order, shape and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    dtype: DType,
    shape: Vec<u64>,
    data: Vec<u8>,
    scalar: bool,
}

impl Array {
    /// The most dimensions, which is numpy's own limit.
    pub const MAX_DIMENSIONS: usize = 64;

    /// An array of `shape` over `data`; `None` where the two do not fit, for more than [`Self::MAX_DIMENSIONS`], and
    /// for a boolean that is neither 0 nor 1.
    pub fn new(dtype: DType, shape: Vec<u64>, data: Vec<u8>) -> Option<Self> {
        let bytes = elements_of(&shape)?.checked_mul(dtype.element.width() as u64)?;
        let fits = bytes == data.len() as u64
            && shape.len() <= Self::MAX_DIMENSIONS
            && shape.iter().all(|&dimension| i64::try_from(dimension).is_ok());
        let valid = dtype.element != Element::Bool || data.iter().all(|&byte| byte <= 1);
        (fits && valid).then_some(Self { dtype, shape, data, scalar: false })
    }

    /// A numpy scalar; `None` where `data` is not one element of the type. Scalars are little-endian.
    pub fn scalar(element: Element, data: Vec<u8>) -> Option<Self> {
        let array = Self::new(DType::new(element, false), Vec::new(), data)?;
        Some(Self { scalar: true, ..array })
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The length of each dimension, outermost first.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The elements, one after the other.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Whether it is a numpy scalar, and not an array of no dimensions.
    pub fn is_scalar(&self) -> bool {
        self.scalar
    }

    /// The elements of an array of `f32`, of any shape and byte order.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        if self.dtype.element != Element::F32 {
            return None;
        }
        let read = if self.dtype.big_endian { f32::from_be_bytes } else { f32::from_le_bytes };
        Some(self.data.chunks_exact(4).map(|chunk| read([chunk[0], chunk[1], chunk[2], chunk[3]])).collect())
    }
}

impl From<&[f32]> for Array {
    fn from(values: &[f32]) -> Self {
        Self {
            dtype: DType::new(Element::F32, false),
            shape: vec![values.len() as u64],
            data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            scalar: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_array_tags_are_those_of_the_rfc() {
        let tag = |element, big_endian| DType::new(element, big_endian).tag();
        assert_eq!(tag(Element::U8, false), Some(64));
        assert_eq!(tag(Element::U16, true), Some(65));
        assert_eq!(tag(Element::U64, false), Some(71));
        assert_eq!(tag(Element::I8, true), Some(72));
        assert_eq!(tag(Element::I64, false), Some(79));
        assert_eq!(tag(Element::F16, true), Some(80));
        assert_eq!(tag(Element::F32, false), Some(85));
        assert_eq!(tag(Element::F64, false), Some(86));
        assert_eq!(tag(Element::Bool, false), None);
        for element in Element::ALL {
            for big_endian in [false, true] {
                let dtype = DType::new(element, big_endian);
                assert!(dtype.tag().is_none_or(|tag| DType::from_tag(tag) == Some(dtype)));
            }
        }
        for reserved in [63, 68, 76, 83, 87, 88] {
            assert_eq!(DType::from_tag(reserved), None);
        }
    }

    #[test]
    fn shape_and_data_must_fit() {
        let f32 = DType::new(Element::F32, false);
        assert!(Array::new(f32, vec![2, 3], vec![0; 24]).is_some());
        assert!(Array::new(f32, vec![0, 3], vec![]).is_some());
        assert!(Array::new(f32, vec![], vec![0; 4]).is_some());
        assert!(Array::new(f32, vec![2, 3], vec![0; 23]).is_none());
        assert!(Array::new(f32, vec![1 << 62, 1 << 62], vec![]).is_none());
        assert!(Array::new(f32, vec![0; 65], vec![]).is_none());
        assert!(Array::new(DType::new(Element::Bool, false), vec![1], vec![2]).is_none());
    }
}
