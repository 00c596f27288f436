//! The host's table of users, which answers no questions.
//! error: E0277
//! fix: implement `Accounts` for it, over your own table of users
use std::collections::BTreeMap;
use vouchsafe::core::{Identifier, TenantId, UserId};
use vouchsafe::gate::{Account, Accounts, GateBuilder, HostError};

pub struct Users(BTreeMap<String, Account>);

#[cfg(fixed)]
impl Accounts for Users {
    async fn resolve(&self, _: &TenantId, name: &Identifier) -> Result<Option<Account>, HostError> {
        Ok(self.0.get(name.as_str()).cloned())
    }

    async fn find(&self, _: &TenantId, user: &UserId) -> Result<Option<Account>, HostError> {
        Ok(self.0.values().find(|account| account.user == *user).cloned())
    }
}

pub fn start(gate: GateBuilder, users: Users) -> GateBuilder {
    gate.accounts(users)
}
