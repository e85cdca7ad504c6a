"""The pages that the gateway serves to people: home and sign-in, GraphiQL, Swagger, and files of installed packages."""
