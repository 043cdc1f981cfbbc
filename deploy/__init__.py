"""What an operator deploys beside the service: boards, rules, manifests."""
