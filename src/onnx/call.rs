//! What an operator is given and what it gives: shapes at once, elements when they are asked for.
//!
//! So the code that computes is also the code that tells shapes before anything is computed.

use super::fault::{Fault, unsupported, wrong};
use super::node::Node;
use super::value::{Data, Kind, Value};

/// The most elements of a value: what its shape says must be possible.
const MAX_ELEMENTS: usize = 1 << 30;

/// The most axes of a value.
const MAX_RANK: usize = 8;

/// What is known of a value.
#[derive(Clone, Copy)]
pub(super) struct Fact<'a> {
    pub(super) shape: &'a [usize],
    pub(super) kind: Kind,
    data: Option<&'a Data>,
}

impl<'a> Fact<'a> {
    pub(super) fn shaped(shape: &'a [usize], kind: Kind) -> Self {
        Self { shape, kind, data: None }
    }

    pub(super) fn known(value: &'a Value) -> Self {
        Self { shape: value.shape(), kind: value.data().kind(), data: Some(value.data()) }
    }

    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }

    /// How many elements it has.
    pub(super) fn count(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn data(&self) -> Result<&'a Data, Fault> {
        self.data.ok_or(Fault::Unknown)
    }

    pub(super) fn f32(&self) -> Result<&'a [f32], Fault> {
        match self.data()? {
            Data::F32(elements) => Ok(elements),
            data => wrong(format!("it is given {:?} where floating-point numbers belong", data.kind())),
        }
    }

    pub(super) fn i64(&self) -> Result<&'a [i64], Fault> {
        match self.data()? {
            Data::I64(elements) => Ok(elements),
            data => wrong(format!("it is given {:?} where whole numbers belong", data.kind())),
        }
    }

    pub(super) fn bool(&self) -> Result<&'a [bool], Fault> {
        match self.data()? {
            Data::Bool(elements) => Ok(elements),
            data => wrong(format!("it is given {:?} where truth values belong", data.kind())),
        }
    }

    /// The number of an axis that may be counted from the end.
    pub(super) fn axis(&self, axis: i64) -> Result<usize, Fault> {
        axis_of(axis, self.rank())
    }

    /// Products of the extents before an axis, of it, and after it.
    pub(super) fn around(&self, axis: usize) -> (usize, usize, usize) {
        (self.shape[..axis].iter().product(), self.shape[axis], self.shape[axis + 1..].iter().product())
    }
}

/// The number of an axis that may be counted from the end.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, Fault> {
    let from_front = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let axis_found = from_front.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
    axis_found.map_or_else(|| wrong(format!("it has no axis {axis}: there are {rank}")), Ok)
}

/// The different axes of a list, which may be counted from the end, in rising order.
pub(super) fn axes_of(axes: &[i64], rank: usize) -> Result<Vec<usize>, Fault> {
    let mut found = axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    if found.windows(2).any(|pair| pair[0] == pair[1]) {
        return wrong(format!("it names an axis twice: {axes:?}"));
    }
    Ok(found)
}

pub(super) struct Call<'a> {
    pub(super) node: &'a Node,
    /// The version of the operator set.
    pub(super) opset: i64,
    pub(super) inputs: &'a [Option<Fact<'a>>],
}

impl<'a> Call<'a> {
    pub(super) fn given(&self, number: usize) -> Option<Fact<'a>> {
        self.inputs.get(number).copied().flatten()
    }

    pub(super) fn input(&self, number: usize) -> Result<Fact<'a>, Fault> {
        self.given(number).map_or_else(|| wrong(format!("its input {number} is missing")), Ok)
    }

    /// An input of floating-point numbers.
    pub(super) fn floats(&self, number: usize) -> Result<Fact<'a>, Fault> {
        let input = self.input(number)?;
        match input.kind {
            Kind::F32 => Ok(input),
            kind => wrong(format!("its input {number} is {kind:?} where floating-point numbers belong")),
        }
    }

    /// An input of floating-point numbers with this many axes at least.
    pub(super) fn floats_of_rank(&self, number: usize, least: usize) -> Result<Fact<'a>, Fault> {
        let input = self.floats(number)?;
        if input.rank() < least {
            return wrong(format!("its input {number} has the shape {:?}, fewer than {least} axes", input.shape));
        }
        Ok(input)
    }

    /// An optional input of floating-point numbers of this shape.
    pub(super) fn floats_of_shape(&self, number: usize, shape: &[usize]) -> Result<Option<Fact<'a>>, Fault> {
        let Some(input) = self.given(number) else { return Ok(None) };
        self.floats(number)?;
        if input.shape != shape {
            return wrong(format!("its input {number} has the shape {:?}, not {shape:?}", input.shape));
        }
        Ok(Some(input))
    }

    /// The whole numbers of an optional input, which have to be known.
    pub(super) fn ints(&self, number: usize) -> Result<Option<&'a [i64]>, Fault> {
        self.given(number).map(|input| input.i64()).transpose()
    }

    /// Whole numbers that an attribute has, or, in later versions, an input.
    pub(super) fn ints_of(&self, attribute: &str, number: usize) -> Result<Option<&'a [i64]>, Fault> {
        match self.node.ints(attribute)? {
            Some(ints) => Ok(Some(ints)),
            None => self.ints(number),
        }
    }

    /// The only element of an optional input of floating-point numbers, which has to be known.
    pub(super) fn float(&self, number: usize) -> Result<Option<f32>, Fault> {
        let Some(input) = self.given(number) else { return Ok(None) };
        match input.data()? {
            Data::F32(elements) if elements.len() == 1 => Ok(Some(elements[0])),
            Data::I64(elements) if elements.len() == 1 => Ok(Some(elements[0] as f32)),
            _ => wrong(format!("its input {number} is not one number")),
        }
    }

    /// The only element of an optional input of whole numbers, which has to be known.
    pub(super) fn int(&self, number: usize) -> Result<Option<i64>, Fault> {
        match self.ints(number)? {
            None => Ok(None),
            Some([int]) => Ok(Some(*int)),
            Some(_) => wrong(format!("its input {number} is not one number")),
        }
    }
}

type Compute<'a> = Box<dyn FnOnce() -> Result<Data, Fault> + 'a>;

/// What an operator gives.
pub(super) struct Output<'a> {
    pub(super) shape: Vec<usize>,
    pub(super) kind: Kind,
    /// Whether its elements depend on no input's elements.
    pub(super) is_constant: bool,
    compute: Compute<'a>,
}

pub(super) type Outputs<'a> = Result<Vec<Output<'a>>, Fault>;

impl<'a> Output<'a> {
    pub(super) fn new(shape: Vec<usize>, kind: Kind, compute: impl FnOnce() -> Result<Data, Fault> + 'a) -> Result<Self, Fault> {
        let count = shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent.max(1)));
        if count.is_none_or(|count| count > MAX_ELEMENTS) || shape.len() > MAX_RANK {
            return unsupported(format!("it makes a tensor of shape {shape:?}, which is too large"));
        }
        Ok(Self { shape, kind, is_constant: false, compute: Box::new(compute) })
    }

    pub(super) fn only(shape: Vec<usize>, kind: Kind, compute: impl FnOnce() -> Result<Data, Fault> + 'a) -> Outputs<'a> {
        Ok(vec![Self::new(shape, kind, compute)?])
    }

    /// A single output of floating-point numbers.
    pub(super) fn floats(shape: Vec<usize>, compute: impl FnOnce() -> Result<Vec<f32>, Fault> + 'a) -> Outputs<'a> {
        Self::only(shape, Kind::F32, || compute().map(Data::F32))
    }

    /// A single output of elements of an input at other places.
    pub(super) fn moved<P: Iterator<Item = usize>>(from: Fact<'a>, shape: Vec<usize>, places: impl FnOnce() -> P + 'a) -> Outputs<'a> {
        Self::only(shape, from.kind, move || Ok(from.data()?.pick(places())))
    }

    /// A single output that does not depend on the elements of any input.
    pub(super) fn constant(shape: Vec<usize>, data: impl FnOnce() -> Data + 'a, kind: Kind) -> Outputs<'a> {
        let mut output = Self::new(shape, kind, move || Ok(data()))?;
        output.is_constant = true;
        Ok(vec![output])
    }

    /// How many elements it has.
    pub(super) fn count(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn compute(self) -> Result<Value, Fault> {
        let (count, data) = (self.count(), (self.compute)()?);
        if data.len() != count {
            return wrong(format!("it makes {} elements for the shape {:?}: it is given too few", data.len(), self.shape));
        }
        Ok(Value::new(&self.shape, data))
    }
}
