//! Tests of the codec by attack class.
