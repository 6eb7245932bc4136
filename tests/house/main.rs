//! How the code stands: its floors, and the public interface.

mod floors;
mod public_api;
