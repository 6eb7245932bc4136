//! The glossary of axes, and the check that ops begin with.
//!
//! | axis | meaning |
//! |---|---|
//! | B | batch |
//! | C | channels, or the width of a token |
//! | T | latent time |
//! | H, W | height, width: pixels or latent pixels |
//! | F | pixel frames |
//! | L | tokens: T * (H/2) * (W/2) in a video, or a number of text or image tokens |
//! | N, D | attention heads, and the size of one head |
//!
//! Latents at the border of the crate are [C, T, H, W], tokens [L, C]. Inside the convolutional models everything is
//! channels-last, [T, H, W, C], because then a kernel reads whole vectors of channels.

use crate::error::{Error, Result};

/// Sizes bound to names: the first use of a name binds it, every later one must agree.
#[derive(Debug, Default)]
pub struct Dims(Vec<(&'static str, usize)>);

impl Dims {
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks a shape, called `what` in errors, against the axis names. A number stands for itself.
    pub fn check(mut self, what: &str, shape: impl AsRef<[usize]>, axes: &[&'static str]) -> Result<Self> {
        self.check_shape(what, shape.as_ref(), axes)?;
        Ok(self)
    }

    /// [`Dims::check`] of what may be left out.
    pub fn check_optional(self, what: &str, shape: Option<impl AsRef<[usize]>>, axes: &[&'static str]) -> Result<Self> {
        match shape {
            Some(shape) => self.check(what, shape, axes),
            None => Ok(self),
        }
    }

    fn check_shape(&mut self, what: &str, shape: &[usize], axes: &[&'static str]) -> Result<()> {
        if shape.len() != axes.len() {
            return Err(Error::Input(format!("{what}: shape {shape:?}, expected [{}]", axes.join(", "))));
        }
        for (&size, &name) in shape.iter().zip(axes) {
            let bound = name.parse().ok().or_else(|| self.find(name));
            match bound {
                Some(bound) if bound != size => return Err(Error::Input(format!("{what}: {name} is {size}, was {bound}"))),
                Some(_) => {}
                None => self.0.push((name, size)),
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().find(|(bound, _)| *bound == name).map(|&(_, size)| size)
    }

    /// The size of a name that was bound.
    ///
    /// # Panics
    /// If the name was not bound, which is a mistake in the calling op.
    pub fn get(&self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| panic!("axis {name} was never checked"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_bind_and_then_must_agree() {
        let mut dims = Dims::new();
        dims.check_shape("x", &[3, 64], &["L", "C"]).expect("binds");
        assert_eq!(dims.get("C"), 64);
        let error = dims.check_shape("weight", &[63], &["C"]).expect_err("must disagree");
        assert_eq!(error.to_string(), "input: weight: C is 63, was 64");
        assert!(dims.check_shape("x", &[3], &["L", "C"]).is_err());
        assert!(dims.check_shape("x", &[3, 4], &["L", "4"]).is_ok());
        assert!(dims.check_shape("x", &[3, 5], &["L", "4"]).is_err());
    }
}
