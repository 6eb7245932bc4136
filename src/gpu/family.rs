//! Families of kernels: one op written several ways, each for one class of adapters, and the choice among them.
//!
//! The choice is made from what is known of an adapter (`Facts`), in `preference`, `Facts::lacks` and `DENIED` and
//! nowhere else. The first kernels of a family that an op uses must agree with a plain computation on the host; a family that
//! is missing or wrong is passed over for the next one, and the log (crate `log`) says so.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// A way of writing kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// Cooperative matrices of f16, summed in f32: tensor cores and their like. Only for operands in f16.
    Coop,
    /// Tiles in workgroup memory. For any GPU: needs neither f16 nor subgroups, and no more than WebGPU's least limits.
    Tiled,
    /// Everything in registers, neither barriers nor subgroups: runs everywhere.
    Reg,
    /// One subgroup of eight lanes a workgroup, operands shared by shuffles: for software drivers, where a subgroup is a
    /// vector register and workgroup memory is slower than any other.
    Sg,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Coop, Self::Tiled, Self::Reg, Self::Sg];

    /// The lanes of a subgroup in the kernels of [`Family::Sg`].
    pub const SG_LANES: u32 = 8;
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Coop => "coop",
            Self::Tiled => "tiled",
            Self::Reg => "reg",
            Self::Sg => "sg",
        })
    }
}

crate::as_text::as_text!(Family);

impl FromStr for Family {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|family| family.to_string() == name);
        found.ok_or_else(|| Error::Input(format!("unknown kernel family `{name}`: choose coop, tiled, reg or sg")))
    }
}

/// Cooperative matrices of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coop {
    /// Rows, columns and depth: 8 or 16.
    pub(crate) size: u32,
    /// Lanes of a subgroup.
    pub(crate) lanes: u32,
    /// Whether they are loaded from arrays of scalars, as Metal must, rather than of vec4s.
    pub(crate) scalar_arrays: bool,
}

impl Coop {
    pub(crate) const fn new(size: u32, lanes: u32, scalar_arrays: bool) -> Self {
        Self { size, lanes, scalar_arrays }
    }

    /// Elements of f16 by which rows in workgroup memory are padded against bank conflicts of lanes that read a fragment's rows: NVIDIA's cards
    /// read 16 bytes of a row at once, others 8.
    pub(crate) const fn padding(self) -> u32 {
        if self.size == 16 && self.lanes == 32 { 8 } else { 4 }
    }
}

/// What the choice is made from.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) device_type: wgpu::DeviceType,
    pub(crate) backend: wgpu::Backend,
    /// The PCI number.
    pub(crate) vendor: u32,
    /// The adapter's name.
    pub(crate) name: String,
    /// The driver's name and version.
    pub(crate) driver: String,
    /// Least and most lanes of a subgroup; none where shaders cannot use subgroups.
    pub(crate) subgroup: Option<(u32, u32)>,
    pub(crate) f16: bool,
    /// Rows, columns and depth of the cooperative matrices of f16 that sum in f32, where there are some.
    pub(crate) coop_size: Option<u32>,
    /// Bytes of workgroup memory.
    pub(crate) workgroup_bytes: u32,
    /// Lanes of a workgroup.
    pub(crate) invocations: u32,
}

impl Facts {
    /// Of an open device. `coop` are the sizes that [`cooperative_size`] found, for a device that was opened with them.
    pub(crate) fn new(device: &wgpu::Device, coop: Option<u32>) -> Self {
        let (info, features, limits) = (device.adapter_info(), device.features(), device.limits());
        let has = |feature| features.contains(feature);
        Self {
            device_type: info.device_type,
            backend: info.backend,
            vendor: info.vendor,
            name: info.name,
            driver: format!("{} {}", info.driver, info.driver_info),
            subgroup: has(wgpu::Features::SUBGROUP).then_some((info.subgroup_min_size, info.subgroup_max_size)),
            f16: has(wgpu::Features::SHADER_F16),
            coop_size: coop.filter(|_| has(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)),
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            invocations: limits.max_compute_invocations_per_workgroup,
        }
    }

    /// Whether it is of AMD's fourth generation of RDNA, as RADV names them: the first whose fragments take no more registers than they need.
    pub(crate) fn is_rdna4(&self) -> bool {
        self.vendor == AMD && ["RADV GFX12", "RADV NAVI4"].iter().any(|name| self.name.contains(name))
    }

    /// Whether it is Apple's, by Metal or by Mesa: a lane has 128 registers, half as many as elsewhere.
    pub(crate) fn is_apple(&self) -> bool {
        self.name.starts_with("Apple ")
    }

    /// Whether registers are memory of the host, of which there is enough.
    pub(crate) fn is_software(&self) -> bool {
        self.device_type == wgpu::DeviceType::Cpu
    }

    /// How kernels of [`Family::Coop`] are written here.
    pub(crate) fn coop(&self) -> Option<Coop> {
        let lanes = match self.subgroup? {
            (least, most) if least == most => least,
            // What drivers take for large workgroups. Where they do not, the test of the kernels shows it.
            _ if self.vendor == AMD => 64,
            _ => 32,
        };
        Some(Coop::new(self.coop_size?, lanes, self.backend == wgpu::Backend::Metal))
    }

    /// What is missing for a family, if anything.
    fn lacks(&self, family: Family) -> Option<&'static str> {
        match family {
            Family::Coop if self.coop_size.is_none() => Some("no cooperative matrices of f16 that sum in f32, 16x16x16 or 8x8x8"),
            Family::Coop if self.subgroup.is_none() => Some("no subgroups"),
            Family::Coop if !matches!(self.coop().map(|coop| (coop.size, coop.lanes)), Some((8, 8 | 32) | (16, 32 | 64))) => {
                Some("no kernel for its lanes of a subgroup and size of cooperative matrices")
            }
            Family::Coop if !self.f16 => Some("no f16"),
            Family::Coop if self.workgroup_bytes < 32 << 10 => Some("less than 32 KiB of workgroup memory"),
            Family::Tiled if self.workgroup_bytes < 16 << 10 => Some("less than 16 KiB of workgroup memory"),
            Family::Tiled if self.invocations < 256 => Some("less than 256 lanes a workgroup"),
            Family::Sg if self.subgroup != Some((Family::SG_LANES, Family::SG_LANES)) => Some("subgroups are not of eight lanes"),
            _ => None,
        }
    }
}

/// Families from the fastest on.
fn preference(facts: &Facts) -> &'static [Family] {
    match facts.device_type {
        wgpu::DeviceType::Cpu => &[Family::Sg, Family::Reg, Family::Tiled],
        _ => &[Family::Coop, Family::Tiled, Family::Reg],
    }
}

/// A family that adapters offer and that is wrong or slow there.
struct Denied {
    family: Family,
    backend: wgpu::Backend,
    vendor: u32,
    /// Part of the driver's name; empty for all drivers.
    driver: &'static str,
    why: &'static str,
}

const AMD: u32 = 0x1002;
const INTEL: u32 = 0x8086;

static DENIED: &[Denied] = &[
    Denied {
        family: Family::Coop,
        backend: wgpu::Backend::Vulkan,
        vendor: INTEL,
        driver: "",
        why: "wrong results on some (github.com/tracel-ai/cubecl, issue 1444), slower than plain kernels on others",
    },
    Denied {
        family: Family::Coop,
        backend: wgpu::Backend::Vulkan,
        vendor: AMD,
        driver: "AMD proprietary",
        why: "offered also where the card has none (as ggml-vulkan found)",
    },
];

fn denied(facts: &Facts, family: Family) -> Option<&'static str> {
    let applies = |denied: &&Denied| {
        denied.family == family && denied.backend == facts.backend && denied.vendor == facts.vendor && facts.driver.contains(denied.driver)
    };
    DENIED.iter().find(applies).map(|denied| denied.why)
}

/// The size of an adapter's cooperative matrices that kernels here can use: the largest cube of f16 that sums in f32.
pub(crate) fn cooperative_size(adapter: &wgpu::Adapter) -> Option<u32> {
    let cubes = adapter.cooperative_matrix_properties().into_iter().filter(|p| {
        let types = (p.ab_type, p.cr_type) == (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32);
        // Metal offers 8x8x8 only, and naga writes a type that it does not have for others.
        types && p.m_size == p.n_size && p.n_size == p.k_size && matches!(p.m_size, 8 | 16)
    });
    cubes.map(|p| p.m_size).max()
}

/// The families of one device, and what came of testing them.
#[derive(Debug)]
pub(crate) struct Families {
    facts: Facts,
    order: Vec<Family>,
    tested: Mutex<HashMap<(&'static str, Family), bool>>,
}

impl Families {
    /// The order for `facts`, with `forced` before all others where the adapter can run it.
    pub(crate) fn new(facts: Facts, forced: Option<Family>) -> Self {
        let mut order: Vec<_> = preference(&facts).iter().copied().filter(|&family| denied(&facts, family).is_none()).collect();
        if let Some(family) = forced {
            order.retain(|&other| other != family);
            order.insert(0, family);
        }
        order.retain(|&family| match facts.lacks(family) {
            Some(lack) if forced == Some(family) => {
                log::warn!("kernels of the family `{family}` were asked for and cannot run here: {lack}");
                false
            }
            lack => lack.is_none(),
        });
        for family in preference(&facts).iter().filter(|family| !order.contains(family)) {
            let why = denied(&facts, *family).or(facts.lacks(*family)).unwrap_or_default();
            log::info!("kernels of the family `{family}` are left out: {why}");
        }
        Self { facts, order, tested: Mutex::default() }
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// All that the adapter can run, wanted or not.
    pub(crate) fn runnable(&self) -> Vec<Family> {
        Family::ALL.into_iter().filter(|&family| self.facts.lacks(family).is_none()).collect()
    }

    /// What failed its test here so far: ops and families.
    pub(crate) fn failed(&self) -> Vec<(&'static str, Family)> {
        let tested = self.tested.lock().unwrap_or_else(PoisonError::into_inner);
        tested.iter().filter(|(_, passed)| !**passed).map(|(&failed, _)| failed).collect()
    }

    /// The fastest family that `fits` a call of `op` and that has passed `test`, which runs `op` in one family on a small
    /// problem and tells what was wrong; without one, that has not failed it yet. [`Family::Reg`] needs no test: there is nothing
    /// to fall back to.
    pub(crate) fn choose(&self, op: &'static str, fits: impl Fn(Family) -> bool, test: Option<impl Fn(Family) -> Result<()>>) -> Family {
        let better = self.order.iter().copied().take_while(|&family| family != Family::Reg);
        better.filter(|&family| fits(family)).find(|&family| self.passes(op, family, test.as_ref())).unwrap_or(Family::Reg)
    }

    fn passes(&self, op: &'static str, family: Family, test: Option<impl Fn(Family) -> Result<()>>) -> bool {
        let tested = || self.tested.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&passed) = tested().get(&(op, family)) {
            return passed;
        }
        let Some(test) = test else { return true };
        // Unlocked meanwhile, since the test records work of its own.
        let result = test(family);
        match &result {
            // The op itself will say that there is no room; the family is tested another time.
            Err(Error::Limits { .. } | Error::Cancelled) => return true,
            Ok(()) => log::debug!("`{op}` has passed its test in the family `{family}`"),
            Err(error) => log::warn!("`{op}` is not run in the family `{family}`, which failed its test here: {error}"),
        }
        tested().insert((op, family), result.is_ok());
        result.is_ok()
    }
}

/// The family that `WAN_ANIMATE_FAMILY` asks for.
pub(crate) fn from_environment() -> Result<Option<Family>> {
    match env::var("WAN_ANIMATE_FAMILY") {
        Ok(name) if !name.is_empty() => name.parse().map(Some),
        _ => Ok(None),
    }
}

/// How far a family's result on the host's own problem may be from the host's: a family that is wrong is wrong by far more,
/// and none that is right sums so badly.
pub(crate) fn agree(got: &[f32], exact: &[f32], tolerance: f32) -> Result<()> {
    let far = |(_, (got, exact)): &(usize, (&f32, &f32))| (*got - *exact).abs() > tolerance || got.is_nan();
    match got.iter().zip(exact).enumerate().find(far) {
        _ if got.len() != exact.len() => Err(Error::Device(format!("{} values instead of {}", got.len(), exact.len()))),
        Some((i, (got, exact))) => Err(Error::Device(format!("element {i} is {got}, expected {exact}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discrete(vendor: u32) -> Facts {
        Facts {
            device_type: wgpu::DeviceType::DiscreteGpu,
            backend: wgpu::Backend::Vulkan,
            vendor,
            name: "adapter".into(),
            driver: "driver 1".into(),
            subgroup: Some((32, 32)),
            f16: true,
            coop_size: Some(16),
            workgroup_bytes: 48 << 10,
            invocations: 1024,
        }
    }

    fn order(facts: Facts, forced: Option<Family>) -> Vec<Family> {
        Families::new(facts, forced).order
    }

    #[test]
    fn adapters_get_what_suits_them() {
        use Family::{Coop, Reg, Sg, Tiled};
        assert_eq!(order(discrete(0x10de), None), [Coop, Tiled, Reg]);
        assert_eq!(order(discrete(INTEL), None), [Tiled, Reg], "denied");
        assert_eq!(order(Facts { driver: "AMD proprietary driver 24".into(), ..discrete(AMD) }, None), [Tiled, Reg]);
        assert_eq!(order(Facts { driver: "radv Mesa 25".into(), ..discrete(AMD) }, None), [Coop, Tiled, Reg]);
        assert_eq!(order(Facts { f16: false, ..discrete(0x10de) }, None), [Tiled, Reg]);
        assert_eq!(order(Facts { coop_size: None, invocations: 128, ..discrete(0x10de) }, None), [Reg]);
        let lavapipe = Facts { device_type: wgpu::DeviceType::Cpu, subgroup: Some((8, 8)), coop_size: None, ..discrete(0x10005) };
        assert_eq!(order(lavapipe.clone(), None), [Sg, Reg, Tiled]);
        assert_eq!(order(Facts { subgroup: Some((4, 4)), ..lavapipe.clone() }, None), [Reg, Tiled]);
        assert_eq!(order(lavapipe.clone(), Some(Tiled)), [Tiled, Sg, Reg]);
        assert_eq!(order(lavapipe, Some(Coop)), [Sg, Reg, Tiled], "asked for in vain");
    }

    #[test]
    fn cards_are_told_apart() {
        let named = |name: &str| Facts { name: name.into(), ..discrete(AMD) }.is_rdna4();
        assert!(named("AMD Radeon RX 9070 XT (RADV GFX1201)") && !named("AMD Radeon RX 7900 XTX (RADV NAVI31)"));
        assert!(!Facts { name: "RADV GFX1201".into(), ..discrete(INTEL) }.is_rdna4());
        let apple = |name: &str| Facts { name: name.into(), ..discrete(0) }.is_apple();
        assert!(apple("Apple M1 (G13G A0)") && apple("Apple M3 Max") && !apple("AMD Radeon Pro 5500M"));
    }

    #[test]
    fn a_family_that_fails_its_test_is_passed_over() {
        let families = Families::new(discrete(0x10de), None);
        let fail = |family| if family == Family::Coop { Err(Error::Device("wrong".into())) } else { Ok(()) };
        assert_eq!(families.choose("op", |_| true, Some(fail)), Family::Tiled);
        assert_eq!(families.choose("op", |_| true, Some(|_| Ok(()))), Family::Tiled, "tested once");
        assert_eq!(families.choose("another", |_| true, Some(|_| Ok(()))), Family::Coop);
        assert_eq!(families.choose("op", |family| family == Family::Coop, Some(fail)), Family::Reg);
    }

    #[test]
    fn a_test_without_room_tells_nothing() {
        let families = Families::new(discrete(0x10de), None);
        assert_eq!(families.choose("op", |_| true, Some(|_| Err(Error::limits("no room")))), Family::Coop);
        assert_eq!(families.choose("op", |_| true, Some(|_| Err(Error::Device("wrong".into())))), Family::Reg);
    }

    #[test]
    fn what_is_wrong_disagrees() {
        assert!(agree(&[1.0, 2.0], &[1.0, 2.1], 0.2).is_ok());
        assert!(agree(&[1.0, 2.0], &[1.0, 2.3], 0.2).is_err());
        assert!(agree(&[1.0, f32::NAN], &[1.0, 2.0], 0.2).is_err());
        assert!(agree(&[1.0], &[1.0, 2.0], 0.2).is_err());
    }
}
