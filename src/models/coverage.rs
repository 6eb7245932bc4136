//! How the tensors of a checkpoint fit its model: what is unknown, what is missing, what was meant.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::layers::{loader::Loader, schema::Asked, schema::Schema};
use crate::models::spec::Spec;
use crate::weights::{checkpoint::Weights, checkpoint::nearest};

/// For how many unknown names the one that was meant is looked for.
const MOST_NEAR: usize = 20;

/// What loading a checkpoint would come to, found out without reading it.
#[derive(Debug, Default)]
pub struct Coverage {
    /// Names that the model does not know, each with the known one that is nearest, where one is near.
    pub unknown: Vec<(String, Option<String>)>,
    /// Names that the model needs and the checkpoint has not.
    pub missing: Vec<String>,
    /// Names whose shape is not the one that the model needs, each with the shape there is and the one needed.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Why no such model can be made of it at all.
    pub failure: Option<Error>,
    tensors: BTreeMap<String, Asked>,
}

impl Coverage {
    /// Of an opened checkpoint, by loading its model from it with a recording loader.
    pub fn of(model: &Spec, weights: &Weights) -> Self {
        let schema = Schema::default();
        let failure = (model.load)(&Loader::recording(&schema, Some(weights)), weights).err();
        let tensors = schema.into_tensors();
        if failure.is_some() {
            return Self { failure, tensors, ..Self::default() };
        }
        let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
        for (name, Asked { shape, .. }) in &tensors {
            match weights.info(name) {
                None => missing.push(name.clone()),
                Some(info) if info.shape != *shape => misshapen.push((name.clone(), info.shape.clone(), shape.clone())),
                Some(_) => {}
            }
        }
        let unknown = weights.unused().filter(|name| !tensors.contains_key(*name) && !model.besides.contains(name));
        let near = |(i, name): (usize, &str)| {
            let near = (i < MOST_NEAR).then(|| nearest(name, tensors.keys().map(String::as_str))).flatten();
            (name.into(), near.map(String::from))
        };
        let unknown = unknown.enumerate().map(near).collect();
        Self { unknown, missing, misshapen, failure, tensors }
    }

    /// Whether a tensor is a matrix that may be quantised.
    pub fn is_operand(&self, name: &str) -> bool {
        self.tensors.get(name).is_some_and(|asked| asked.is_operand)
    }
}
