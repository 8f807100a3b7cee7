//! What the row groups of a file have in common.

use std::sync::Arc;

use crate::recording::Identity;
use crate::recording::Schema;
use crate::recording::encode::Encoders;
use crate::recording::encode::pages::Codec;

/// What is the same for all row groups of a file.
pub(crate) struct Layout {
    pub(crate) schema: Arc<Schema>,
    pub(crate) encoders: Encoders,
    pub(crate) identity: Identity,
    pub(crate) codec: Codec,
}
