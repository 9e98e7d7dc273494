//! Transactions, as the author of a backend brings them.

use async_trait::async_trait;

/// Tables of their own for one test, and transactions on them.
#[async_trait]
pub trait Transactional: Send + Sync {
    /// A transaction. Dropped, it is rolled back.
    type Transaction: Send;

    /// Begins one, as a program that uses the backend does.
    async fn begin(&self) -> Self::Transaction;

    /// Commits it.
    async fn commit(&self, transaction: Self::Transaction);

    /// Rolls it back, and returns when that is done.
    async fn roll_back(&self, transaction: Self::Transaction);
}
