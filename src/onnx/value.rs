//! Tensors on the host.

use super::fault::Fault;

/// What the elements of a value are: one form for every type of file that means the same kind of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any floating-point type, in single precision.
    F32,
    /// Any integer type, in 64 bits.
    I64,
    Bool,
}

impl Kind {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::I64 => 8,
            Self::Bool => 1,
        }
    }
}

/// Elements, the last axis contiguous.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
}

/// Does the same to the elements of every kind.
macro_rules! each {
    ($data:expr, $elements:ident => $body:expr) => {
        match $data {
            Data::F32($elements) => Data::F32($body),
            Data::I64($elements) => Data::I64($body),
            Data::Bool($elements) => Data::Bool($body),
        }
    };
}

impl Data {
    pub fn kind(&self) -> Kind {
        match self {
            Self::F32(_) => Kind::F32,
            Self::I64(_) => Kind::I64,
            Self::Bool(_) => Kind::Bool,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(elements) => elements.len(),
            Self::I64(elements) => elements.len(),
            Self::Bool(elements) => elements.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements at these places.
    pub(super) fn pick(&self, places: impl Iterator<Item = usize>) -> Self {
        each!(self, elements => {
            let mut picked = Vec::with_capacity(places.size_hint().0);
            places.for_each(|place| picked.push(elements[place]));
            picked
        })
    }

    /// `count` copies of the only element.
    pub(super) fn filled(&self, count: usize) -> Self {
        each!(self, elements => vec![elements[0]; count])
    }

    /// `count` times nothing: 0 or false.
    pub(super) fn zeros(kind: Kind, count: usize) -> Self {
        match kind {
            Kind::F32 => Self::F32(vec![0.0; count]),
            Kind::I64 => Self::I64(vec![0; count]),
            Kind::Bool => Self::Bool(vec![false; count]),
        }
    }

    /// Puts the lines of `from`, of `own` elements, into lines of `width` elements, `offset` behind their begin.
    pub(super) fn put_lines(&mut self, from: &Self, own: usize, width: usize, offset: usize) -> Result<(), Fault> {
        fn put<T: Copy>(to: &mut [T], from: &[T], [own, width, offset]: [usize; 3]) {
            if own > 0 {
                to.chunks_exact_mut(width)
                    .zip(from.chunks_exact(own))
                    .for_each(|(to, from)| to[offset..offset + own].copy_from_slice(from));
            }
        }
        let extents = [own, width, offset];
        match (self, from) {
            (Self::F32(to), Self::F32(from)) => put(to, from, extents),
            (Self::I64(to), Self::I64(from)) => put(to, from, extents),
            (Self::Bool(to), Self::Bool(from)) => put(to, from, extents),
            (to, from) => return mixed(to, from),
        }
        Ok(())
    }

    /// Replaces elements one by one: the one at each place by that of `from` at the other place.
    pub(super) fn put(&mut self, from: &Self, places: impl Iterator<Item = (usize, usize)>) -> Result<(), Fault> {
        match (self, from) {
            (Self::F32(to), Self::F32(from)) => places.for_each(|(place, other)| to[place] = from[other]),
            (Self::I64(to), Self::I64(from)) => places.for_each(|(place, other)| to[place] = from[other]),
            (Self::Bool(to), Self::Bool(from)) => places.for_each(|(place, other)| to[place] = from[other]),
            (to, from) => return mixed(to, from),
        }
        Ok(())
    }
}

fn mixed(to: &Data, from: &Data) -> Result<(), Fault> {
    Err(Fault::Wrong(format!("{:?} and {:?} are mixed", to.kind(), from.kind())))
}

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    shape: Vec<usize>,
    data: Data,
}

impl Value {
    /// A tensor of these extents, the last contiguous.
    ///
    /// # Panics
    /// If the elements are not as many as the shape has, which is a mistake in the calling code.
    pub fn new(shape: &[usize], data: Data) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "elements of a tensor of shape {shape:?}");
        Self { shape: shape.to_vec(), data }
    }

    /// A tensor of zeros, or of what is false.
    pub(super) fn zeros(shape: &[usize], kind: Kind) -> Self {
        Self::new(shape, Data::zeros(kind, shape.iter().product()))
    }

    /// Its extents, the last contiguous.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Its elements, where they are floating-point numbers.
    pub fn f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(elements) => Some(elements),
            _ => None,
        }
    }

    /// Its elements, where they are integers.
    pub fn i64(&self) -> Option<&[i64]> {
        match &self.data {
            Data::I64(elements) => Some(elements),
            _ => None,
        }
    }
}
