//! WGSL kernel files: what each is called, and what it needs around it.
//!
//! A file in `wgsl/` declares `struct Params` and a function named as the file, `fn NAME(group: u32, thread: u32, p: Params)`,
//! and reaches its tensors through accessors that are generated from each slot's element format:
//! `NAME_load(e, n) -> vec4<f32>` (elements e.. of which n are wanted; e is a multiple of four from the start of a row),
//! `NAME_get(e)` (one element), `NAME_store(e, n, v)` and, for f32, `NAME_set(e, v)`. Slots must not be called as
//! the accessors' own locals are: at, count, last, four, value, words, held. A line `// #import NAME, NAME` brings functions of `wgsl/lib`.

use crate::gpu::pipeline::Element;

/// What a kernel does with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes it, and may read it too.
    Write,
}

/// One tensor of a kernel.
#[derive(Debug)]
pub struct Slot {
    /// Its name in the kernel file.
    pub name: &'static str,
    /// What the kernel does with it.
    pub access: Access,
    /// The element formats that the op may choose.
    pub elements: &'static [Element],
}

/// Constants and the values that each may have: all products of them.
pub type Variants = &'static [(&'static str, &'static [u32])];

/// Constants that belong together, with their values.
pub type Tile = &'static [(&'static str, u32)];

/// All of these as [`Kernel::tiles`].
pub(crate) const fn tiles<const TILES: usize, const CONSTANTS: usize>(
    all: &'static [[(&'static str, u32); CONSTANTS]; TILES],
) -> [Tile; TILES] {
    let mut tiles: [Tile; TILES] = [&[]; TILES];
    let mut number = 0;
    while number < TILES {
        tiles[number] = &all[number];
        number += 1;
    }
    tiles
}

/// The constants of each tile of a table.
macro_rules! constants_of {
    ($tiles:ident, $count:expr, $constants:expr) => {{
        let mut all = [[("", 0); $constants]; $count];
        let mut number = 0;
        while number < all.len() {
            all[number] = $tiles[number].constants();
            number += 1;
        }
        all
    }};
}
pub(crate) use constants_of;

/// One kernel file and what it needs around it.
#[derive(Debug)]
pub struct Kernel {
    /// The file's name without `.wgsl`, which is also the function's.
    pub name: &'static str,
    /// The file.
    pub source: &'static str,
    /// Threads of a workgroup, where no constant `WG` says otherwise.
    pub workgroup: u32,
    /// Its tensors, in binding order.
    pub slots: &'static [Slot],
    /// Size of its `Params`, which are scalars of four bytes, in the same order in Rust and WGSL.
    pub params_bytes: usize,
    /// The constants that ops choose together, such as the extents of a tile, which come first.
    pub tiles: &'static [Tile],
    /// The constants that ops choose each for itself. Others are refused in debug builds, so that every module that runs is also one that the
    /// tests translate for every backend.
    pub variants: &'static [Variants],
    /// What it needs beyond what every adapter has.
    pub needs: Needs,
}

/// What a kernel needs of the adapter. All but [`Needs::Nothing`] adds an argument to the kernel's function:
/// `fn NAME(group: u32, thread: u32, p: Params, subgroup: Subgroup)`, where `Subgroup` holds the subgroup's number `id` in the
/// workgroup and the `lane` in the subgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// No more than every adapter has.
    Nothing,
    /// Subgroups, of eight lanes on software drivers.
    Subgroups,
    /// Cooperative matrices, and so f16 and subgroups. As fragments can be neither indexed nor passed on, the file and its libraries have blocks:
    /// what stands between `// #for i in FM` and `// #end` is repeated for all `$i` below the constant `FM`, and of `// #if VEC4_ARRAYS`, `// #else`,
    /// `// #end` one part stays. `$size` stands for the constant `SIZE`. `NAME_f16(four) -> vec4<f16>` reads a slot's four of that number.
    CooperativeMatrix,
}

/// Element formats of slots that are read row by row.
pub const READ: &[Element] = &[Element::F32, Element::F32x4, Element::F16x4];
/// The same for slots that may be left out.
pub const READ_OPTIONAL: &[Element] = &[Element::Absent, Element::F32, Element::F32x4, Element::F16x4];
/// Element formats of weight matrices.
pub const WEIGHT: &[Element] = &[Element::F32, Element::F32x4, Element::F16x4, Element::Bf16x4];
/// Element formats of vectors that stay in f32, such as biases.
pub const VECTOR: &[Element] = &[Element::F32, Element::F32x4];
/// The same for vectors that may be left out.
pub const VECTOR_OPTIONAL: &[Element] = &[Element::Absent, Element::F32, Element::F32x4];
/// Element formats of outputs.
pub const WRITE: &[Element] = &[Element::F32, Element::F32x4, Element::F16x4];
/// f32 reached one element at a time.
pub const SCALAR: &[Element] = &[Element::F32];
/// Index tensors.
pub const INDEX: &[Element] = &[Element::U32];

impl Slot {
    /// A slot that is read.
    pub const fn read(name: &'static str, elements: &'static [Element]) -> Self {
        Self { name, access: Access::Read, elements }
    }

    /// A slot that is written, or updated in place.
    pub const fn write(name: &'static str, elements: &'static [Element]) -> Self {
        Self { name, access: Access::Write, elements }
    }
}

impl Kernel {
    /// A kernel without tensors, shared functions, constants or needs, of 64 lanes: what a kernel begins from.
    pub const fn of(name: &'static str, source: &'static str, params_bytes: usize) -> Self {
        Self { name, source, workgroup: 64, slots: &[], params_bytes, tiles: &[&[]], variants: &[&[]], needs: Needs::Nothing }
    }

    /// Whether `constants` are a tile and a variant.
    pub fn has_variant(&self, constants: &[(&'static str, u32)]) -> bool {
        let among = |variants: &Variants, constants: &[(&'static str, u32)]| {
            let mut pairs = variants.iter().zip(constants);
            variants.len() == constants.len() && pairs.all(|(known, (name, value))| known.0 == *name && known.1.contains(value))
        };
        let mut rests = self.tiles.iter().filter_map(|tile| constants.strip_prefix(*tile));
        rests.any(|rest| self.variants.iter().any(|variants| among(variants, rest)))
    }
}

/// A kernel's `Params`, in the order of its WGSL file.
macro_rules! params {
    ($name:ident { $($field:ident: $type:ty),* }) => {
        #[repr(C)]
        #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }
    };
}
pub(crate) use params;
