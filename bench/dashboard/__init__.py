"""What dashboards ask over ``POST /query``: the queries, their parameters, and what the right answers are."""
