"""The ways out that several components share: HTTP to strangers' servers, webhooks, the bucket."""
