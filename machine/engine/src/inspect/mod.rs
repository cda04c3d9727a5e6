//! What is found out about a machine's messages: breakpoints, retries, queries, the past.

pub(crate) mod breakpoint;
pub(crate) mod dead_letter_query;
pub(crate) mod debug;
pub(crate) mod history;
pub(crate) mod page_size;
pub(crate) mod retention_query;
pub(crate) mod retry;
