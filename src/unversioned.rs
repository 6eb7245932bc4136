//! The crate's insides, for its own tests and benches and for the curious. Public, but outside semantic versioning: anything
//! here may change in any release.

macro_rules! expose {
    ($($module:ident)*) => {
        $(
            #[doc = concat!("See `src/", stringify!($module), "`.")]
            #[allow(unused_imports, reason = "some floors hold nothing public of their own")]
            pub mod $module {
                pub use crate::$module::*;
            }
        )*
    };
}

expose! { dtype gpu json layers linalg models onnx ops pipelines rng schedulers shape tokenizer vocabulary weights }

/// See `src/video`.
pub mod video {
    macro_rules! expose {
        ($($module:ident)*) => {
            $(
                #[doc = concat!("See `src/video/", stringify!($module), ".rs`.")]
                pub mod $module {
                    pub use crate::video::$module::*;
                }
            )*
        };
    }

    expose! { clip_image official preprocess resize }
}
