//! Tests of the header filter by attack class.
