//! The native surface.

pub mod admin;
pub mod auth;
pub mod docs;
pub mod events;
pub mod files;
pub mod jobs;
pub mod json;
pub mod multipart;
pub mod uploads;
