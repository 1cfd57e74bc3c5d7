"""The cleaning pipeline of InternVL2.5 (facts 12): rules, model scores, verdicts, review, clean manifests."""
