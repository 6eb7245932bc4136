//! Stand-in until the real reader lands; same interface.
#![allow(missing_docs)]
use crate::dtype::DType;
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    map: BTreeMap<String, (DType, Vec<usize>, Vec<u8>)>,
    used: Mutex<BTreeSet<String>>,
}
#[derive(Debug)]
pub struct TensorView<'a> {
    pub dtype: DType,
    pub shape: &'a [usize],
    pub bytes: &'a [u8],
}
impl Weights {
    pub fn open(path: &Path) -> Result<Self> {
        let files: Vec<PathBuf> = if path.is_dir() {
            std::fs::read_dir(path)
                .map_err(Error::io(path))?
                .filter_map(|e| e.ok())
                .map(|e| e.path())
                .filter(|p| p.extension().is_some_and(|e| e == "safetensors"))
                .collect()
        } else {
            vec![path.into()]
        };
        let mut map = BTreeMap::new();
        for f in files {
            let data = std::fs::read(&f).map_err(Error::io(&f))?;
            let st = safetensors::SafeTensors::deserialize(&data).map_err(|e| Error::weights(&f, e.to_string()))?;
            for (n, t) in st.iter() {
                let d = match t.dtype() {
                    safetensors::Dtype::F32 => DType::F32,
                    safetensors::Dtype::F16 => DType::F16,
                    safetensors::Dtype::BF16 => DType::Bf16,
                    _ => continue,
                };
                map.insert(n.to_string(), (d, t.shape().to_vec(), t.data().to_vec()));
            }
        }
        Ok(Self { path: path.into(), map, used: Mutex::default() })
    }
    pub fn contains(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<TensorView<'_>> {
        let (d, s, b) = self.map.get(name).ok_or_else(|| Error::tensor(&self.path, name, "missing"))?;
        if s != shape {
            return Err(Error::tensor(&self.path, name, format!("shape {s:?}, expected {shape:?}")));
        }
        if let Ok(mut u) = self.used.lock() {
            u.insert(name.into());
        }
        Ok(TensorView { dtype: *d, shape: s, bytes: b })
    }
    pub fn to_f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let v = self.tensor(name, shape)?;
        Ok(match v.dtype {
            DType::F32 => bytemuck::pod_collect_to_vec(v.bytes),
            DType::F16 => v.bytes.chunks(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            DType::Bf16 => v.bytes.chunks(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        })
    }
    pub fn finish(&self) -> Result<()> {
        let used = self.used.lock().map_err(|_| Error::Unsupported("lock".into()))?;
        match self.map.keys().find(|k| !used.contains(*k)) {
            Some(k) => Err(Error::tensor(&self.path, k, "unknown tensor")),
            None => Ok(()),
        }
    }
}
