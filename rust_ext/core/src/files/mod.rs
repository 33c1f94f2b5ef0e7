//! Static files, the part without I/O: which file a path names, whether the client has it already, which part of it
//! is asked for, and the head of the answer.

mod conditional;
mod date;
mod encoding;
mod entity_tag;
mod head;
mod lookup;
mod media_type;
mod range;

pub use conditional::{Validators, Verdict, judge};
pub use date::parse_date;
pub use encoding::accepted;
pub use entity_tag::EntityTag;
pub use head::{FileHead, redirect_location, write_file_head};
pub use lookup::{Wanted, relative};
pub use media_type::{is_media_type, media_type};
pub use range::{Selected, select};

#[cfg(test)]
mod tests;
